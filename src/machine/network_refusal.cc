#include "machine/network_refusal.h"

#include <algorithm>
#include <initializer_list>

#include "machine/network_filter.h"

namespace cove::network {

namespace {

using Bytes = std::span<const uint8_t>;
using Frame = std::vector<uint8_t>;

constexpr size_t kEthernet = 14, kHeader4 = 20, kHeader6 = 40, kIcmp = 8;
constexpr size_t kQuoted = 8;  // of what follows the refused packet's header: its ports
constexpr uint8_t kGatewayMac[] = {0x52, 0x55, 0x0a, 0x00, 0x02, 0x02};  // libslirp's

void append(Frame& frame, Bytes bytes) { frame.insert(frame.end(), bytes.begin(), bytes.end()); }
void append(Frame& frame, std::initializer_list<size_t> bytes) {
  for (size_t byte : bytes) frame.push_back(static_cast<uint8_t>(byte));
}

// RFC 1071, over an even number of bytes. `sum`: of what belongs to it besides.
void setChecksum(Frame& frame, size_t from, size_t to, size_t at, uint32_t sum = 0) {
  for (size_t i = from; i < to; i += 2) sum += uint32_t{frame[i]} << 8 | frame[i + 1];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  frame[at] = static_cast<uint8_t>(~sum >> 8);
  frame[at + 1] = static_cast<uint8_t>(~sum);
}

// After both addresses are in place: the message, and the packet's beginning.
Frame refuse4(Frame frame, Bytes packet) {
  constexpr size_t kQuote = kHeader4 + kQuoted, kLength = kHeader4 + kIcmp + kQuote;
  append(frame, {0x45, 0, 0, kLength, 0, 0, 0x40, 0, 64, 1, 0, 0});
  append(frame, kGateway);
  append(frame, packet.subspan(12, 4));
  append(frame, {3, 13, 0, 0, 0, 0, 0, 0});
  append(frame, packet.first(kQuote));
  setChecksum(frame, kEthernet, kEthernet + kHeader4, kEthernet + 10);
  setChecksum(frame, kEthernet + kHeader4, frame.size(), kEthernet + kHeader4 + 2);
  return frame;
}

Frame refuse6(Frame frame, Bytes packet) {
  constexpr size_t kQuote = kHeader6 + kQuoted, kLength = kIcmp + kQuote, kProtocol = 58;
  append(frame, {0x60, 0, 0, 0, 0, kLength, kProtocol, 255});
  append(frame, kGateway6);
  append(frame, packet.subspan(8, 16));
  append(frame, {1, 1, 0, 0, 0, 0, 0, 0});
  append(frame, packet.first(kQuote));
  // The pseudo-header: both addresses, length and protocol.
  setChecksum(frame, kEthernet + 8, frame.size(), kEthernet + kHeader6 + 2, kLength + kProtocol);
  return frame;
}

}  // namespace

Frame refusalOf(Bytes frame) {
  Frame answer(frame.begin() + 6, frame.begin() + 12);
  append(answer, kGatewayMac);
  append(answer, frame.subspan(12, 2));
  Bytes packet = frame.subspan(kEthernet);
  return packet[0] >> 4 == 4 ? refuse4(std::move(answer), packet) : refuse6(std::move(answer), packet);
}

}  // namespace cove::network
