// The channel's wire, from a peer that sends whatever it likes.
#include <span>
#include <vector>

#include "require.h"
#include "rpc/scanner.h"

namespace {

using cove::require, cove::Scanner;

// Feeds `input` and gives the count of payload bytes that were whole frames.
void scan(std::span<const std::byte> input, Scanner& scanner) {
  size_t taken = 0;
  for (;;) {
    size_t before = input.size();
    Scanner::Found found = scanner.next(input);
    require(input.size() <= before);
    switch (found) {
      case Scanner::Found::kMore:
        return;
      case Scanner::Found::kPayload: {
        size_t count = std::min(scanner.payload(), input.size());
        require(scanner.payload() <= cove::kFramePayload);
        if (count == 0) return;
        input = input.subspan(count);
        scanner.takePayload(count);
        require((taken += count) <= cove::kFramePayload);
        break;
      }
      case Scanner::Found::kFrameEnd:
        require(taken > 0);
        taken = 0;
        break;
      case Scanner::Found::kRecord:
        scanner.follow(scanner.nonce());
        taken = 0;
        break;
      case Scanner::Found::kBroken:
        require(!scanner.following());
        taken = 0;
        break;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto input = std::as_bytes(std::span(data, size));
  Scanner scanner;
  scan(input, scanner);
  // Whatever that left behind: zeros and a record are always understood.
  std::vector<std::byte> rescue(input.begin(), input.end());
  rescue.insert(rescue.end(), cove::kFlush, std::byte{0});
  auto record = cove::encodeRecord(cove::Record::kWelcome, 0x0123456789abcdef);
  rescue.insert(rescue.end(), record.begin(), record.end());
  Scanner again;
  again.follow(0x1111111111111111);
  std::span<const std::byte> rest = rescue;
  for (;;) {
    Scanner::Found found = again.next(rest);
    if (found == Scanner::Found::kPayload) {
      size_t count = std::min(again.payload(), rest.size());
      rest = rest.subspan(count);
      again.takePayload(count);
    }
    if (found == Scanner::Found::kRecord && again.nonce() == 0x0123456789abcdef) return 0;
    require(found != Scanner::Found::kMore);
  }
}
