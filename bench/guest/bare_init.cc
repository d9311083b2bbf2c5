// The first process of a bare machine: the same kernel and image as an instance of cove, without cove.
//
//   init           says that it runs, and nothing else
//   image          modules, root, systemd; says when systemd says that it has started everything
//   serve          image, and a program at the port: for every byte it runs /bin/true, and answers with one
//   stream BYTES   modules, the port: writes BYTES of zeros to it, then reads as many from it
//
// It says what it reached with lines "REACHED-…" on the serial console.
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bare.h"

using namespace bare;

namespace {

constexpr const char* kNotifySocket = "/run/bare-notify";
constexpr const char* kRoot = "/root";  // exists in the kernel's built-in initrd

void moveIntoRoot(const std::string& place) {
  require(::mount(place.c_str(), (kRoot + place).c_str(), nullptr, MS_MOVE, nullptr) == 0, "move " + place);
}

// systemd tells $NOTIFY_SOCKET, as it tells a container's manager, when everything is started.
void reportWhenStarted(int socket) {
  if (::fork() != 0) return;
  char text[4096];
  for (;;) {
    ssize_t n = ::recv(socket, text, sizeof text - 1, 0);
    require(n >= 0, "hear of systemd");
    text[n] = 0;
    if (std::strstr(text, "READY=1") != nullptr) say("REACHED-STARTED");
  }
}

void serveCommands(int port) {
  if (::fork() != 0) return;
  for (char byte;;) {
    if (::read(port, &byte, 1) != 1) {  // the host's side is away
      ::usleep(1000);
      continue;
    }
    pid_t child = ::fork();
    if (child == 0) {
      ::execl("/bin/true", "/bin/true", nullptr);
      ::_exit(127);
    }
    int status = 0;
    require(::waitpid(child, &status, 0) == child && status == 0, "run /bin/true");
    require(::write(port, &byte, 1) == 1, "answer");
  }
}

void runImage(bool serve) {
  prepare();
  int port = serve ? openPort() : -1;
  waitFor("/dev/vda");
  require(::mount("/dev/vda", kRoot, "ext4", MS_NOATIME, nullptr) == 0, "mount the root");
  mountAt("tmpfs", std::string(kRoot) + "/run");
  for (const char* place : {"/proc", "/sys", "/dev"}) moveIntoRoot(place);
  require(::chdir(kRoot) == 0 && ::mount(".", "/", nullptr, MS_MOVE, nullptr) == 0 && ::chroot(".") == 0,
          "switch to the root");
  int notify = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, kNotifySocket, sizeof address.sun_path - 1);
  require(::bind(notify, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind a socket");
  reportWhenStarted(notify);
  if (serve) serveCommands(port);
  ::setenv("NOTIFY_SOCKET", kNotifySocket, 1);
  ::execl("/sbin/init", "/sbin/init", nullptr);
  require(false, "execute /sbin/init");
}

void streamBytes(long long bytes) {
  static char buffer[64 * 1024];  // cove's largest frame
  prepare();
  int port = openPort();
  say("REACHED-PORT");
  for (long long left = bytes; left > 0;) {
    ssize_t n = ::write(port, buffer, sizeof buffer);
    require(n > 0, "write to the port");
    left -= n;
  }
  for (long long left = bytes; left > 0;) {
    ssize_t n = ::read(port, buffer, sizeof buffer);
    require(n > 0, "read from the port");
    left -= n;
  }
  say("REACHED-END");
}

}  // namespace

int main(int argc, char** argv) {
  std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "init") say("REACHED-INIT");
  if (mode == "image" || mode == "serve") runImage(mode == "serve");
  if (mode == "stream" && argc > 2) streamBytes(std::atoll(argv[2]));
  for (;;) ::pause();
}
