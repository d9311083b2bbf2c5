// Directories by descriptor: what is in them, and their removal. No symlink is followed.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"

namespace cove {

// Whatever it is, a dangling symlink too.
bool isThere(const Fd& dir, const std::string& name);
// Names but "." and "..", in no order.
std::vector<std::string> entriesOf(const Fd& dir);
// Deletes `name`, and below it everything. Missing: nothing to do.
void removeTree(const Fd& parent, const std::string& name);
// What its files take on the disk, in bytes.
uint64_t sizeOf(const Fd& dir);

}  // namespace cove
