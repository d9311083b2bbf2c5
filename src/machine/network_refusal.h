// What a guest is told when judge() refused its packet, so that it fails at once instead of waiting.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace cove::network {

// The frame that answers `frame`, for which the verdict was kRefuse: the gateway's "communication
// administratively prohibited" (RFC 1812, 5.2.7.1; RFC 4443, 3.1) with the beginning of the packet.
std::vector<uint8_t> refusalOf(std::span<const uint8_t> frame);

}  // namespace cove::network
