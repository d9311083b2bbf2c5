#include "rpc/scanner.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <sys/random.h>

#include "base/error.h"

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");

namespace cove {

namespace {
uint64_t load(const std::byte* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

bool isRecord(uint64_t magic) {
  return magic == static_cast<uint64_t>(Record::kHello) || magic == static_cast<uint64_t>(Record::kWelcome) ||
         magic == static_cast<uint64_t>(Record::kHere);
}
}  // namespace

std::array<std::byte, kRecordSize> encodeRecord(Record type, uint64_t nonce) {
  std::array<std::byte, kRecordSize> bytes;
  uint64_t words[] = {static_cast<uint64_t>(type), nonce, ~nonce};
  static_assert(sizeof words == kRecordSize);
  std::memcpy(bytes.data(), words, sizeof words);
  return bytes;
}

std::array<std::byte, kFrameHeader> encodeHeader(uint64_t epoch, uint32_t length) {
  std::array<std::byte, kFrameHeader> bytes;
  uint64_t words[] = {epoch, length};  // the upper half of the second word is the zero
  std::memcpy(bytes.data(), words, sizeof words);
  return bytes;
}

std::array<std::byte, kFrameTrailer> encodeTrailer(uint64_t epoch) {
  std::array<std::byte, kFrameTrailer> bytes;
  std::memcpy(bytes.data(), &epoch, sizeof epoch);
  return bytes;
}

uint64_t freshNonce() {
  std::array<unsigned char, 8> bytes;
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw sysError("get", "random bytes");
  for (auto& byte : bytes) byte = std::max<unsigned char>(byte, 1);
  return std::bit_cast<uint64_t>(bytes);
}

void Scanner::follow(uint64_t epoch) {
  epoch_ = epoch;
  state_ = State::kHeader;
}

void Scanner::takePayload(size_t count) {
  payload_ -= count;
  if (payload_ == 0) state_ = State::kTrailer;
}

Scanner::Found Scanner::next(std::span<const std::byte>& input) {
  switch (state_) {
    case State::kLost:
      return search(input);
    case State::kHeader:
      return atHeader(input);
    case State::kPayload:
      return Found::kPayload;
    case State::kTrailer:
      if (input.size() < kFrameTrailer) return Found::kMore;
      if (load(input.data()) != epoch_) {  // stays in the input: a record may begin in it
        lose();
        return Found::kBroken;
      }
      input = input.subspan(kFrameTrailer);
      state_ = State::kHeader;
      return Found::kFrameEnd;
  }
  return Found::kMore;
}

Scanner::Found Scanner::atHeader(std::span<const std::byte>& input) {
  while (input.size() >= kFrameHeader) {
    uint64_t first = load(input.data()), second = load(input.data() + 8);
    if (first == 0 && second == 0) {
      input = input.subspan(kFrameHeader);
      continue;
    }
    if (first == epoch_ && second > 0 && second <= kFramePayload) {
      input = input.subspan(kFrameHeader);
      payload_ = second;
      state_ = State::kPayload;
      return Found::kPayload;
    }
    if (isRecord(first)) {
      if (input.size() < kRecordSize) return Found::kMore;
      if (takeRecord(input)) return Found::kRecord;
    }
    lose();
    return Found::kBroken;
  }
  return Found::kMore;
}

bool Scanner::takeRecord(std::span<const std::byte>& input) {
  uint64_t nonce = load(input.data() + 8);
  if (load(input.data() + 16) != ~nonce) return false;
  record_ = static_cast<Record>(load(input.data()));
  nonce_ = nonce;
  input = input.subspan(kRecordSize);
  return true;
}

// Every magic begins with the same byte, so memchr() finds the candidates.
Scanner::Found Scanner::search(std::span<const std::byte>& input) {
  constexpr unsigned char kFirst = static_cast<uint64_t>(Record::kHello) & 0xff;
  while (!input.empty()) {
    auto at = static_cast<const std::byte*>(std::memchr(input.data(), kFirst, input.size()));
    if (at == nullptr) {
      input = {};
      break;
    }
    input = input.subspan(static_cast<size_t>(at - input.data()));
    if (input.size() < kRecordSize) {
      // Wait only for what may become one.
      if (input.size() < 8 || isRecord(load(input.data()))) return Found::kMore;
    } else if (isRecord(load(input.data())) && takeRecord(input)) {
      return Found::kRecord;
    }
    input = input.subspan(1);
  }
  return Found::kMore;
}

}  // namespace cove
