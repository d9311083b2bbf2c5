// The memory of a saved machine as a file: what is not zero of it, and where.
//
//   "cove memory 1\n", two zero bytes, size (of the memory; all numbers are 64 bits, little endian)
//   offset, length, bytes     again and again: offsets grow, both are multiples of kMemoryPage
//   size, 0                   the end
#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

#include "base/fd.h"

namespace cove {

inline constexpr uint64_t kMemoryPage = 4096;
// Files in the directory of a machine that was saved, beside its "disk".
inline constexpr const char* kSavedMemory = "memory";
inline constexpr const char* kSavedDevices = "devices";

using MemorySink = std::function<void(std::string_view)>;
using MemorySource = std::function<void(char* to, size_t size)>;  // all of it, or an Error

// Reads the memory's data extents (holes are zero), and drops pages that are zero.
void writeMemory(const Fd& memory, const MemorySink& sink);

// Fills `memory`, an empty file that has the memory's size already. An Error for what is not exactly the
// format, or of another size. What follows in the source is its owner's.
void readMemory(const MemorySource& source, const Fd& memory);

}  // namespace cove
