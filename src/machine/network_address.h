// Which addresses a guest may reach, decided by the address alone and by what the host says about it.
//
// Refused by their range: this network and loopback (0/8, 127/8, ::), link-local, multicast, reserved ranges
// and broadcast, addresses at which clouds serve metadata and credentials, IPv4 addresses written as IPv6
// (mapped, compatible, translated), and everything outside of 2000::/3, fc00::/7 and 64:ff9b::/96. An IPv6
// address that carries an IPv4 address (6to4, Teredo, ISATAP, NAT64) is refused where that one would be.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <span>

namespace cove::network {

// In network byte order.
using V4 = std::array<uint8_t, 4>;
using V6 = std::array<uint8_t, 16>;

// Whether the host delivers to this address itself, or to anything but one other machine. 4 or 16 bytes.
using IsLocal = std::function<bool(std::span<const uint8_t> address)>;

bool mayReach(const V4& address, const IsLocal& isLocal);
bool mayReach(const V6& address, const IsLocal& isLocal);

}  // namespace cove::network
