// Frames on their way to a descriptor: what is written in one turn of the event loop goes together, because
// each write to a virtio port is an interrupt on the other side.
#pragma once
#include <cstddef>
#include <kj/common.h>
#include <memory>
#include <span>

#include "rpc/scanner.h"

namespace cove {

class FrameQueue {
 public:
  using Pieces = kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>>;

  bool empty() const { return used_ == 0; }
  // No more frames are taken before take(). It has room for a whole one until then.
  bool full() const { return used_ >= kFrame; }
  // Adds a frame with the front of `pieces`, from `offset` in the first of them; both move on.
  void add(uint64_t epoch, Pieces& pieces, size_t& offset);
  // All that was added; valid until the next call.
  std::span<const std::byte> take();
  void clear() { used_ = 0; }

 private:
  static constexpr size_t kCapacity = 2 * kFrame;
  std::unique_ptr<std::byte[]> adding_, taken_;
  size_t used_ = 0;
};

}  // namespace cove
