// Bytes of a stream between the first that is still needed and the last that was read.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace cove {

// Holds at most `capacity` bytes (a power of two), and has memory for those only once they come.
class Ring {
 public:
  explicit Ring(size_t capacity) : capacity_(capacity) {}

  uint64_t begin() const { return begin_; }  // offset in the stream of the first byte kept
  uint64_t end() const { return end_; }
  bool full() const { return end_ - begin_ == capacity_; }

  // Room for the next bytes, contiguous, at most `limit`; commit() says how many came. Empty when fewer than
  // `least` bytes are free.
  std::span<std::byte> room(size_t limit, size_t least = 1);
  void commit(size_t count) { end_ += count; }
  // Bytes from `offset` (in [begin, end]), contiguous, at most `limit`.
  std::span<const std::byte> from(uint64_t offset, size_t limit) const;
  // Forgets what lies before `offset`; gives memory back when nothing is left, but for a
  // little.
  void release(uint64_t offset);

 private:
  void grow();
  size_t capacity_;
  size_t size_ = 0;  // allocated
  std::unique_ptr<std::byte[]> data_;
  uint64_t begin_ = 0, end_ = 0;
};

}  // namespace cove
