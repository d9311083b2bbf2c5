// What the host has, as far as an instance may ask for it.
#pragma once
#include <cstdint>

#include "base/paths.h"

namespace cove {

struct HostResources {
  unsigned cpus = 1;
  uint64_t memoryMiB = 0;  // in all
  uint64_t diskTotal = 0;  // bytes, of the file system of the state directory
  uint64_t diskFree = 0;
  std::string_view stateDirectory{};  // its path
};
HostResources hostResources(const StateDir& state);

}  // namespace cove
