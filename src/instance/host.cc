#include "instance/host.h"

#include <algorithm>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/error.h"

namespace cove {

HostResources hostResources(const StateDir& state) {
  struct statvfs disk {};
  check(::fstatvfs(state.fd.get(), &disk), "examine the file system of", state.path);
  struct sysinfo memory {};
  check(::sysinfo(&memory), "examine", "the host's memory");
  HostResources host;
  host.cpus = static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  host.memoryMiB = static_cast<uint64_t>(memory.totalram) * memory.mem_unit >> 20;
  host.diskTotal = static_cast<uint64_t>(disk.f_blocks) * disk.f_frsize;
  host.diskFree = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  host.stateDirectory = state.path;
  return host;
}

}  // namespace cove
