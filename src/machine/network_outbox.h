// Frames on their way to the guest: sent at once where the socket takes them, else kept, in order and
// bounded.
#pragma once
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "base/fd.h"

namespace cove::network {

class Outbox {
 public:
  static constexpr size_t kMaxWaiting = 512;  // frames; more are dropped
  static constexpr size_t kCongested = kMaxWaiting / 2;

  explicit Outbox(const Fd& frames) : frames_(frames) {}
  void send(std::span<const uint8_t> frame);
  void flush();  // when the socket takes frames again
  bool waiting() const { return !waiting_.empty(); }
  bool congested() const { return waiting_.size() >= kCongested; }
  bool closed() const { return closed_; }  // nobody will ever receive

 private:
  bool trySend(std::span<const uint8_t> frame);

  const Fd& frames_;
  std::deque<std::vector<uint8_t>> waiting_;
  bool closed_ = false;
};

}  // namespace cove::network
