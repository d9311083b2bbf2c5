#include "agent/mounts.h"

#include <cerrno>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

namespace cove::agent {

namespace {
struct ApiMount {
  const char* type;
  const char* place;
  unsigned long flags;
  const char* options;
};
// systemd's src/shared/mount-setup.c.
constexpr unsigned long kPlain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
constexpr ApiMount kMounts[] = {
    {"proc", "/proc", kPlain, nullptr},
    {"sysfs", "/sys", kPlain, nullptr},
    {"devtmpfs", "/dev", MS_NOSUID, "mode=0755,size=4m"},
    {"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0000"},
    {"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=01777"},
    {"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755,size=20%,nr_inodes=800k"},
    {"cgroup2", "/sys/fs/cgroup", kPlain, "nsdelegate,memory_recursiveprot"},
};
constexpr const char* kMoved[] = {"/proc", "/sys", "/dev", "/run"};

void makeDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) < 0 && errno != EEXIST) throw sysError("make the directory", path);
}
}  // namespace

void mountApiFileSystems() {
  ::umask(0022);
  for (const ApiMount& m : kMounts) {
    // sysfs has its own directory for it, and lets nobody make one.
    if (std::string_view(m.type) != "cgroup2") makeDirectory(m.place);
    if (::mount(m.type, m.place, m.type, m.flags, m.options) < 0 && errno != EBUSY)
      throw sysError("mount", m.place);
  }
}

void switchRoot(const std::string& root) {
  for (const char* place : kMoved) {
    std::string target = root + place;
    makeDirectory(target);
    check(::mount(place, target.c_str(), nullptr, MS_MOVE, nullptr), "move the mount", place);
  }
  check(::chdir(root.c_str()), "enter", root);
  // The initrd is the kernel's first file system, which pivot_root(2) cannot replace: the new root is moved
  // over it instead.
  check(::mount(".", "/", nullptr, MS_MOVE, nullptr), "move the root file system to", "/");
  check(::chroot("."), "change the root to", root);
  check(::chdir("/"), "enter", "/");
}

}  // namespace cove::agent
