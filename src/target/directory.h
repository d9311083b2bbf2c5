// The entries of an open directory.
#pragma once
#include <string>
#include <vector>

#include "base/fd.h"

namespace cove {

// Sorted by name, without "." and "..". More than `limit` is an error that names `subject`.
std::vector<std::string> entriesOf(const Fd& directory, size_t limit, const std::string& subject);

}  // namespace cove
