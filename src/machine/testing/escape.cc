#include "machine/testing/escape.h"

#include <arpa/inet.h>
#include <csignal>
#include <cstring>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"

namespace cove {

namespace {
bool connects(const void* address, socklen_t size, int family) {
  int s = ::socket(family, SOCK_STREAM, 0);
  bool done = s >= 0 && ::connect(s, static_cast<const sockaddr*>(address), size) == 0;
  ::close(s);
  return done;
}

bool connectsUnix(const std::string& name, bool abstract) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  size_t skip = abstract ? 1 : 0;
  std::memcpy(address.sun_path + skip, name.data(), name.size());
  return connects(&address, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + skip + name.size()),
                  AF_UNIX);
}

bool connectsTcp(const char* host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, host, &address.sin_addr);
  return connects(&address, sizeof address, AF_INET);
}

bool opens(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY);
  ::close(fd);
  return fd >= 0;
}

// execve only comes back when it failed; in a child, so that success is seen.
bool executes(const std::string& program) {
  pid_t pid = ::fork();
  if (pid == 0) {
    char* argv[] = {const_cast<char*>(program.c_str()), const_cast<char*>("-c"), const_cast<char*>("true"),
                    nullptr};
    char* none[] = {nullptr};
    ::execve(program.c_str(), argv, none);
    ::_exit(99);
  }
  int status = 0;
  return pid > 0 && ::waitpid(pid, &status, 0) == pid && !(WIFEXITED(status) && WEXITSTATUS(status) == 99);
}

bool executesUnlinked() {
  int fd = static_cast<int>(::syscall(SYS_memfd_create, "x", 0));
  std::string script = "#!/bin/true\n";
  [[maybe_unused]] ssize_t n = ::write(fd, script.data(), script.size());
  char* none[] = {nullptr};
  return ::syscall(SYS_execveat, fd, "", none, none, AT_EMPTY_PATH) == 0;
}

bool writes(const std::string& path) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  ::close(fd);
  return fd >= 0;
}
}  // namespace

std::string tryToEscape(const std::string& self, const std::vector<std::string>& places) {
  std::string report;
  auto note = [&](const std::string& name, bool reached) {
    report += name + (reached ? " REACHED\r\n" : " denied\r\n");
  };
  for (const std::string& place : places) {
    size_t equals = place.find('=');
    std::string kind = place.substr(0, equals), value = place.substr(equals + 1);
    if (kind == "socket") note("socket", connectsUnix(value, false));
    if (kind == "abstract") note("abstract", connectsUnix(value, true));
    if (kind == "file") note("file", opens(value));
    if (kind == "port") note("loopback", connectsTcp("127.0.0.1", static_cast<uint16_t>(std::stoi(value))));
  }
  note("bus", connectsUnix("/run/dbus/system_bus_socket", false));
  note("metadata", connectsTcp("169.254.169.254", 80));
  note("shell", executes("/bin/sh"));
  note("itself", executes(self));
  note("loader", executes("/lib64/ld-linux-x86-64.so.2"));
  note("memory-file", executesUnlinked());
  note("run", opens("/run") || opens("/sys"));
  // Its own processes are there, and nothing else of the kernel's.
  note("proc", opens("/proc/cmdline") || opens("/proc/sys") || opens("/proc/kallsyms"));
  note("passwd", opens("/etc/passwd"));
  note("trace-parent", ::ptrace(PTRACE_ATTACH, ::getppid(), nullptr, nullptr) == 0);
  note("signal-parent", ::getppid() != 0 && ::kill(::getppid(), 0) == 0);
  note("signal-all", ::kill(-1, 0) == 0);
  note("write-root", writes("/x") || writes("/boot/x") || writes("/usr/lib/x"));
  note("userns", ::unshare(CLONE_NEWUSER) == 0);
  note("mount", ::mount("none", "/", "tmpfs", 0, nullptr) == 0);
  note("vsock", ::socket(40, SOCK_STREAM, 0) >= 0);
  note("root", ::setuid(0) == 0 && ::geteuid() == 0);
  report += "end of attempts\r\n";
  return report;
}

}  // namespace cove
