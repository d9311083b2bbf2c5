// The guest's root file system: mounted, and grown to its disk.
#pragma once
#include <chrono>
#include <string>

#include "base/fd.h"

namespace cove::agent {

// The disk of a machine: the whole of it is the root file system.
inline constexpr const char* kRootDevice = "/dev/vda";

// Waits until the block device is there, at most `limit`, and mounts its ext4 file system read-write.
void mountRoot(const std::string& device, const std::string& place, std::chrono::milliseconds limit);

// Grows the mounted ext4 file system of which `dir` is a directory to the size of its device; returns at once
// when it is that large already. Blocks while the kernel works.
void growFileSystem(const Fd& dir, const std::string& device);

}  // namespace cove::agent
