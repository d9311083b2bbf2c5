#include "machine/network_filter.h"

#include <algorithm>

namespace cove::network {

namespace {

using Bytes = std::span<const uint8_t>;

constexpr size_t kEthernetHeader = 14;
constexpr uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58;  // IANA protocol numbers
constexpr V4 kBroadcast = {255, 255, 255, 255};
constexpr V6 kDhcp6Servers = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2};

uint16_t word(Bytes bytes, size_t at) { return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]); }

template <typename Address>
Address addressAt(Bytes bytes, size_t at) {
  Address address;
  std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(at), address.size(), address.begin());
  return address;
}

bool inNetwork(const V4& a) { return a[0] == 10 && a[1] == 0 && a[2] == 2; }
bool inNetwork(const V6& a) { return std::equal(a.begin(), a.begin() + 8, kPrefix6.begin()); }
bool isLinkLocal(const V6& a) { return a[0] == 0xfe && (a[1] & 0xc0) == 0x80; }

// Any address of the network that libslirp does not use itself. libslirp aborts when it must answer to
// 0.0.0.1 and the like, and it would take anything else for a guest's.
bool isGuest(const V4& a) { return inNetwork(a) && a[3] > kNameServer[3] && a[3] != 255; }
bool isGuest(const V6& a) { return (inNetwork(a) && a != kGateway6 && a != kNameServer6) || isLinkLocal(a); }

// The destination port when `payload` holds a whole TCP or UDP header, else 0, which nothing allows.
uint16_t destinationPort(uint8_t protocol, Bytes payload) {
  if (protocol == kTcp && payload.size() >= 20) return word(payload, 2);
  if (protocol == kUdp && payload.size() >= 8) return word(payload, 2);
  return 0;
}

bool isOne(const V4& a) { return a[0] < 224 && !(inNetwork(a) && a[3] == 255); }
bool isOne(const V6& a) { return a[0] != 0xff; }

Verdict passIf(bool pass) { return pass ? Verdict::kPass : Verdict::kDrop; }

template <typename Address>
Verdict judgeTransport(const Address& to, const Address& nameServer, uint8_t protocol, Bytes payload,
                       const IsLocal& isLocal) {
  uint16_t port = destinationPort(protocol, payload);
  if (port == 0) return Verdict::kDrop;
  if (to == nameServer && port == 53) return Verdict::kPassToNameServer;
  if (!inNetwork(to) && mayReach(to, isLocal)) return Verdict::kPass;
  return isOne(to) ? Verdict::kRefuse : Verdict::kDrop;
}

// RFC 826 for Ethernet and IPv4, the only form that libslirp reads.
Verdict judgeArp(Bytes arp) {
  if (arp.size() < 28) return Verdict::kDrop;
  bool shape = word(arp, 0) == 1 && word(arp, 2) == 0x0800 && arp[4] == 6 && arp[5] == 4;
  V4 sender = addressAt<V4>(arp, 14);
  return passIf(shape && (isGuest(sender) || sender == V4{}));
}

Verdict judge4(Bytes packet, const IsLocal& isLocal) {
  if (packet.size() < 20 || packet[0] != 0x45) return Verdict::kDrop;  // version 4, no options
  size_t length = word(packet, 2);
  if (length < 20 || length > packet.size()) return Verdict::kDrop;
  if ((word(packet, 6) & ~0x4000) != 0) return Verdict::kDrop;  // a fragment, or the reserved flag
  uint8_t protocol = packet[9];
  V4 from = addressAt<V4>(packet, 12), to = addressAt<V4>(packet, 16);
  Bytes payload = packet.subspan(20, length - 20);

  bool dhcp = protocol == kUdp && destinationPort(protocol, payload) == 67;
  if (to == kBroadcast) return passIf(dhcp && (from == V4{} || isGuest(from)));
  if (!isGuest(from)) return Verdict::kDrop;
  if (to == kGateway) {
    bool echo = protocol == kIcmp && payload.size() >= 8 && payload[0] == 8;
    if (dhcp || echo) return Verdict::kPass;
  }
  return judgeTransport(to, kNameServer, protocol, payload, isLocal);
}

// Router and neighbour solicitation and neighbour advertisement (RFC 4861), and echo requests to the gateway.
// libslirp answers all of them itself.
Verdict judgeIcmp6(const V6& from, const V6& to, uint8_t hopLimit, Bytes payload) {
  if (payload.size() < 8) return Verdict::kDrop;
  uint8_t type = payload[0];
  if (type == 128) return passIf(to == kGateway6 && isGuest(from));
  bool discovery = type == 133 || type == 135 || type == 136;
  bool onLink = inNetwork(to) || isLinkLocal(to) || (to[0] == 0xff && to[1] == 0x02);
  return passIf(discovery && hopLimit == 255 && onLink && (isGuest(from) || from == V6{}));
}

Verdict judge6(Bytes packet, const IsLocal& isLocal) {
  if (packet.size() < 40 || packet[0] >> 4 != 6) return Verdict::kDrop;
  size_t length = word(packet, 4);
  if (length > packet.size() - 40) return Verdict::kDrop;
  uint8_t protocol = packet[6];  // of the first header: an extension header is none of those that pass
  V6 from = addressAt<V6>(packet, 8), to = addressAt<V6>(packet, 24);
  Bytes payload = packet.subspan(40, length);

  if (protocol == kIcmp6) return judgeIcmp6(from, to, packet[7], payload);
  if (!isGuest(from)) return Verdict::kDrop;
  if (to == kDhcp6Servers) return passIf(protocol == kUdp && destinationPort(protocol, payload) == 547);
  return judgeTransport(to, kNameServer6, protocol, payload, isLocal);
}

}  // namespace

Verdict judge(Bytes frame, const IsLocal& isLocal) {
  if (frame.size() < kEthernetHeader || frame.size() > kMaxFrame) return Verdict::kDrop;
  Bytes payload = frame.subspan(kEthernetHeader);
  switch (word(frame, 12)) {
    case 0x0800:
      return judge4(payload, isLocal);
    case 0x0806:
      return judgeArp(payload);
    case 0x86dd:
      return judge6(payload, isLocal);
    default:
      return Verdict::kDrop;
  }
}

}  // namespace cove::network
