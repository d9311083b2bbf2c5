// The guest of the acceleration probe.
#pragma once
#include <string_view>

namespace cove {

// A Multiboot image (specification 0.6.96) that switches to long mode with paging, adds up numbers there, and
// writes kProbeValue to port kProbePort. Empty where guests are not x86.
std::string_view probeGuest();
inline constexpr int kProbePort = 0xf4;
inline constexpr int kProbeValue = 0x2d;
// QEMU's isa-debug-exit ends with (value << 1) | 1.
inline constexpr int kProbeStatus = (kProbeValue << 1) | 1;

}  // namespace cove
