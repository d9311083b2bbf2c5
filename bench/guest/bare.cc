#include "bare.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bare {

namespace {
constexpr const char* kPortName = "org.cove.agent";
}  // namespace

void require(bool fine, const std::string& what) {
  if (fine) return;
  std::string line = "BARE-FAILED: " + what + ": " + std::strerror(errno) + "\n";
  [[maybe_unused]] ssize_t n = ::write(1, line.data(), line.size());
  std::exit(1);
}

void say(const std::string& line) {
  std::string text = line + "\n";
  require(::write(1, text.data(), text.size()) > 0, "write to the console");
}

void mountAt(const char* type, const std::string& place) {
  ::mkdir(place.c_str(), 0755);
  require(::mount(type, place.c_str(), type, 0, nullptr) == 0, "mount " + place);
}

void prepare() {
  mountAt("proc", "/proc");
  mountAt("sysfs", "/sys");
  mountAt("devtmpfs", "/dev");
  std::ifstream list("/lib/cove/modules");
  for (std::string path; std::getline(list, path);) {
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    require(fd >= 0, "open " + path);
    require(::syscall(SYS_finit_module, fd, "", 0) == 0 || errno == EEXIST, "load " + path);
    ::close(fd);
  }
}

void waitFor(const std::string& path) {
  while (::access(path.c_str(), F_OK) != 0) ::usleep(2000);
}

int openPort() {
  const std::string ports = "/sys/class/virtio-ports/";
  for (;; ::usleep(2000)) {
    DIR* dir = ::opendir(ports.c_str());
    if (dir == nullptr) continue;
    while (dirent* entry = ::readdir(dir)) {
      std::string name;
      std::getline(std::ifstream(ports + entry->d_name + "/name"), name);
      if (name != kPortName) continue;
      waitFor(std::string("/dev/") + entry->d_name);
      int fd = ::open((std::string("/dev/") + entry->d_name).c_str(), O_RDWR | O_CLOEXEC);
      require(fd >= 0, "open the port");
      ::closedir(dir);
      return fd;
    }
    ::closedir(dir);
  }
}

}  // namespace bare
