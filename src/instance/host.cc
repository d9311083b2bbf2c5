#include "instance/host.h"

#include <algorithm>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/error.h"

namespace cove {

HostResources hostResources(const Fd& stateDir) {
  struct statvfs disk {};
  check(::fstatvfs(stateDir.get(), &disk), "examine", "the file system of the state directory");
  struct sysinfo memory {};
  check(::sysinfo(&memory), "examine", "the host's memory");
  HostResources host;
  host.cpus = static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  host.memoryMiB = static_cast<uint64_t>(memory.totalram) * memory.mem_unit >> 20;
  host.diskTotal = static_cast<uint64_t>(disk.f_blocks) * disk.f_frsize;
  host.diskFree = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  return host;
}

}  // namespace cove
