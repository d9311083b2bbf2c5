// Ethernet frames of a guest: what passes the filter goes nowhere that it must not.
#include <algorithm>

#include "machine/network_filter.h"
#include "machine/network_refusal.h"
#include "require.h"

using namespace cove::network;

namespace {

// The destination of an IPv4 packet that passed, judged here a second time and without the filter's code.
void checkV4(std::span<const uint8_t> frame) {
  cove::require(frame.size() >= 34 && frame[14] == 0x45);
  const uint8_t* to = frame.data() + 30;
  bool ownNetwork = to[0] == 10 && to[1] == 0 && to[2] == 2;
  bool broadcast = std::all_of(to, to + 4, [](uint8_t b) { return b == 255; });  // DHCP
  if (ownNetwork || broadcast) return;
  cove::require(to[0] != 0 && to[0] != 127 && to[0] < 224);
  cove::require(!(to[0] == 169 && to[1] == 254));
  cove::require(!(to[0] == 192 && to[1] == 168 && to[2] == 77));  // the host's, below
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::span<const uint8_t> frame(data, size);
  IsLocal isLocal = [](std::span<const uint8_t> address) {
    return address.size() == 4 && address[0] == 192 && address[1] == 168 && address[2] == 77;
  };
  Verdict verdict = judge(frame, isLocal);
  if (verdict == Verdict::kDrop) return 0;
  cove::require(size >= 14 && size <= kMaxFrame);
  if (verdict == Verdict::kRefuse) {
    auto answer = refusalOf(frame);
    // To the sender, never longer than what it is about by more than its own headers.
    cove::require(std::equal(answer.begin(), answer.begin() + 6, frame.begin() + 6));
    cove::require(answer.size() <= size + 48);
    return 0;
  }
  if (frame[12] == 0x08 && frame[13] == 0x00) checkV4(frame);
  return 0;
}
