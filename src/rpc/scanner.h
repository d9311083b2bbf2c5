// The wire of rpc/channel.h, without its descriptors: tells frames, records and garbage apart.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "rpc/limits.h"

namespace cove {

inline constexpr size_t kFrameHeader = 16;
inline constexpr size_t kFrameTrailer = 8;
inline constexpr size_t kRecordSize = 24;
// A whole frame is two transfers of the guest's virtio port, which takes 32 KiB a write (virtio_console.c).
inline constexpr size_t kFrame = 64 * 1024;
inline constexpr size_t kFramePayload = kFrame - kFrameHeader - kFrameTrailer;
// Zeros that end any half frame; a multiple of a header's size, so that whoever was between two frames still
// is.
inline constexpr size_t kFlush = kFrame;

enum class Record : uint64_t {
  kHello = 0x314f4c4c45482163,    // host to agent: begin the epoch `nonce`
  kWelcome = 0x454d4f434c455763,  // agent to host: it has begun
  kHere = 0x2145524548206d63,     // agent to host: I started, say hello
};

std::array<std::byte, kRecordSize> encodeRecord(Record type, uint64_t nonce);
std::array<std::byte, kFrameHeader> encodeHeader(uint64_t epoch, uint32_t length);
std::array<std::byte, kFrameTrailer> encodeTrailer(uint64_t epoch);
// A nonce without zero bytes, so that no part of it can be mistaken for flushed zeros.
uint64_t freshNonce();

class Scanner {
 public:
  enum class Found {
    kMore,      // nothing without more bytes; what is left in the input must be there again next time
    kPayload,   // the next bytes, payload() of them at most, are payload; takePayload() what was taken
    kFrameEnd,  // the frame whose payload was taken is whole
    kRecord,    // record() and nonce()
    kBroken,    // neither frame nor record: from here on only records are found, until follow()
  };

  // Looks at the front of `input` and drops from it what it consumed (never payload).
  Found next(std::span<const std::byte>& input);

  // Frames of this epoch are expected from here on.
  void follow(uint64_t epoch);
  // Only records are looked for.
  void lose() { state_ = State::kLost; }
  bool following() const { return state_ != State::kLost; }
  uint64_t epoch() const { return epoch_; }

  size_t payload() const { return payload_; }
  void takePayload(size_t count);
  // Between the last byte of a payload and its trailer.
  bool unverified() const { return state_ == State::kTrailer; }

  Record record() const { return record_; }
  uint64_t nonce() const { return nonce_; }

 private:
  Found atHeader(std::span<const std::byte>& input);
  Found search(std::span<const std::byte>& input);
  bool takeRecord(std::span<const std::byte>& input);

  enum class State { kLost, kHeader, kPayload, kTrailer } state_ = State::kLost;
  uint64_t epoch_ = 0;
  size_t payload_ = 0;
  Record record_ = Record::kHello;
  uint64_t nonce_ = 0;
};

}  // namespace cove
