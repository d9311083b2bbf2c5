#include "rpc/ring.h"

#include <algorithm>
#include <cstring>

#include "rpc/limits.h"

namespace cove {

namespace {
constexpr size_t kFirst = kStreamChunk;
constexpr size_t kKept = kStreamChunk;  // by an empty ring: a stream in full flow empties it again and again
}  // namespace

std::span<std::byte> Ring::room(size_t limit, size_t least) {
  size_t used = end_ - begin_;
  if (capacity_ - used < least) return {};
  while (size_ - used < least) grow();
  size_t at = end_ % size_;
  size_t free = size_ - (end_ - begin_);
  return {data_.get() + at, std::min({limit, free, size_ - at})};
}

std::span<const std::byte> Ring::from(uint64_t offset, size_t limit) const {
  if (offset < begin_ || offset >= end_) return {};
  size_t at = offset % size_;
  return {data_.get() + at, std::min<size_t>({limit, end_ - offset, size_ - at})};
}

void Ring::release(uint64_t offset) {
  begin_ = std::clamp(offset, begin_, end_);
  if (begin_ != end_ || size_ <= kKept) return;
  data_.reset();
  size_ = 0;
}

void Ring::grow() {
  size_t size = size_ == 0 ? std::min(kFirst, capacity_) : size_ * 2;
  auto data = std::make_unique_for_overwrite<std::byte[]>(size);
  for (uint64_t offset = begin_; offset < end_;) {
    auto part = from(offset, std::min<size_t>(size_, size - offset % size));
    std::memcpy(data.get() + offset % size, part.data(), part.size());
    offset += part.size();
  }
  data_ = std::move(data);
  size_ = size;
}

}  // namespace cove
