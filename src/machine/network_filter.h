// The guest's frames, judged before libslirp sees them. A pure function of the bytes and of isLocal().
//
// The guest's network is 10.0.2.0/24 and fec0::/64, with libslirp as gateway (.2, ::2) and name server (.3,
// ::3). What passes: ARP; DHCP, DHCPv6 and neighbour discovery with libslirp itself; echo requests to the
// gateway; port 53 of the name server; TCP and UDP to addresses that mayReach(). TCP and UDP to one other
// place are refused with an answer (network_refusal.h). Everything else is dropped, so a frame that this
// filter does not understand in full (VLAN tags, IP options, extension headers, fragments, other protocols,
// lengths that do not fit, foreign source addresses) goes nowhere.
//
// Why it is so strict about port 53: libslirp forwards every port of the name server's address to the host's
// resolver, which may be a loopback address. Why no fragments: they hide ports, and libslirp keeps an
// unbounded number of them for 30 s.
#pragma once
#include <cstdint>
#include <span>

#include "machine/network_address.h"

namespace cove::network {

// The largest frame that is accepted: Ethernet header and an IP packet of kMtu.
inline constexpr size_t kMtu = 1500;
inline constexpr size_t kMaxFrame = 14 + kMtu;

inline constexpr V4 kGateway = {10, 0, 2, 2};
inline constexpr V4 kNameServer = {10, 0, 2, 3};
inline constexpr V4 kFirstGuest = {10, 0, 2, 15};
inline constexpr V6 kPrefix6 = {0xfe, 0xc0};
inline constexpr V6 kGateway6 = {0xfe, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
inline constexpr V6 kNameServer6 = {0xfe, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3};

enum class Verdict {
  kDrop,
  kRefuse,  // a whole TCP or UDP header, and an address that is neither multicast nor broadcast
  kPass,
  kPassToNameServer,  // passes, and the host's resolver configuration is about to be used
};

Verdict judge(std::span<const uint8_t> frame, const IsLocal& isLocal);

}  // namespace cove::network
