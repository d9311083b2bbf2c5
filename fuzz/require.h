// What a fuzz target claims about the code that it drives.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace cove {

inline void require(bool condition) {
  if (!condition) std::abort();
}

inline std::string_view asText(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace cove
