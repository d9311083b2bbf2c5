#include "machine/network_address.h"

#include <algorithm>

namespace cove::network {

namespace {

template <size_t N>
struct Prefix {
  std::array<uint8_t, N> address;
  unsigned bits;

  bool contains(const std::array<uint8_t, N>& other) const {
    size_t whole = bits / 8;
    if (!std::equal(address.begin(), address.begin() + whole, other.begin())) return false;
    unsigned rest = bits % 8;
    return rest == 0 || ((address[whole] ^ other[whole]) >> (8 - rest)) == 0;
  }
};

constexpr Prefix<4> kRefused4[] = {
    {{0, 0, 0, 0}, 8},           // "this" network; Linux connects 0.0.0.0 to itself
    {{127, 0, 0, 0}, 8},         // loopback
    {{169, 254, 0, 0}, 16},      // link-local, with the metadata of most clouds
    {{224, 0, 0, 0}, 4},         // multicast
    {{240, 0, 0, 0}, 4},         // reserved, and broadcast
    {{100, 100, 100, 200}, 32},  // metadata: Alibaba
    {{168, 63, 129, 16}, 32},    // metadata: Azure's wire server
    {{192, 0, 0, 0}, 24},        // IETF protocol assignments, with Oracle's metadata (192.0.0.192)
};

constexpr Prefix<16> kAllowed6[] = {
    {{0x20}, 3},                  // global unicast
    {{0xfc}, 7},                  // unique local
    {{0, 0x64, 0xff, 0x9b}, 96},  // NAT64 (RFC 6052): the only way to IPv4 on some networks
};

constexpr Prefix<16> kRefused6[] = {
    {{0xfd, 0x00, 0x0e, 0xc2}, 32},  // metadata and link-local services: Amazon
    {{0xfd, 0x20, 0x00, 0xce}, 32},  // metadata: Google
    {{0xfd, 0x00, 0x00, 0xc1}, 32},  // metadata: Oracle
    {{0xfd, 0x00, 0x00, 0x42}, 32},  // metadata: Scaleway
};

constexpr Prefix<16> kNat64 = {{0, 0x64, 0xff, 0x9b}, 96};
constexpr Prefix<16> k6to4 = {{0x20, 0x02}, 16};
constexpr Prefix<16> kTeredo = {{0x20, 0x01, 0, 0}, 32};

V4 embedded(const V6& address, size_t at) {
  return {address[at], address[at + 1], address[at + 2], address[at + 3]};
}

// RFC 5214: the interface identifier is 0000:5efe or 0200:5efe and the IPv4 address.
bool isIsatap(const V6& address) {
  return (address[8] & 0xfc) == 0 && address[9] == 0 && address[10] == 0x5e && address[11] == 0xfe;
}

template <size_t N, size_t M>
bool inAny(const Prefix<N> (&prefixes)[M], const std::array<uint8_t, N>& address) {
  return std::ranges::any_of(prefixes, [&](const Prefix<N>& prefix) { return prefix.contains(address); });
}

bool carriesRefused(const V6& address, const IsLocal& isLocal) {
  auto refused = [&](const V4& inner) { return !mayReach(inner, isLocal); };
  if (kNat64.contains(address) && refused(embedded(address, 12))) return true;
  if (k6to4.contains(address) && refused(embedded(address, 2))) return true;
  if (isIsatap(address) && refused(embedded(address, 12))) return true;
  if (kTeredo.contains(address)) {  // RFC 4380: the server's address, and the client's with all bits inverted
    V4 client = embedded(address, 12);
    for (uint8_t& byte : client) byte = static_cast<uint8_t>(~byte);
    return refused(embedded(address, 4)) || refused(client);
  }
  return false;
}

}  // namespace

bool mayReach(const V4& address, const IsLocal& isLocal) {
  return !inAny(kRefused4, address) && !isLocal(address);
}

bool mayReach(const V6& address, const IsLocal& isLocal) {
  return inAny(kAllowed6, address) && !inAny(kRefused6, address) && !carriesRefused(address, isLocal) &&
         !isLocal(address);
}

}  // namespace cove::network
