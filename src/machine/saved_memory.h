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

// Reads the memory's data extents (holes are zero), and drops pages that are zero.
void writeMemory(const Fd& memory, const Fd& file);

// Fills `memory`, an empty file that has the memory's size already. `onBytes` sees every byte of the file, in
// their order. An Error for what is not exactly the format, or of another size.
void readMemory(const Fd& file, const Fd& memory, const std::function<void(std::string_view)>& onBytes);

}  // namespace cove
