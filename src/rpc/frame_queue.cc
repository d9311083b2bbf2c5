#include "rpc/frame_queue.h"

#include <algorithm>
#include <cstring>

namespace cove {

void FrameQueue::add(uint64_t epoch, Pieces& pieces, size_t& offset) {
  if (!adding_) adding_ = std::make_unique_for_overwrite<std::byte[]>(kCapacity);
  std::byte* frame = adding_.get() + used_;
  std::byte* payload = frame + kFrameHeader;
  size_t length = 0;
  while (pieces.size() > 0 && length < kFramePayload) {
    size_t count = std::min(pieces[0].size() - offset, kFramePayload - length);
    if (count > 0) std::memcpy(payload + length, pieces[0].begin() + offset, count);
    length += count;
    offset += count;
    if (offset < pieces[0].size()) break;
    pieces = pieces.slice(1, pieces.size());
    offset = 0;
  }
  if (length == 0) return;
  auto header = encodeHeader(epoch, static_cast<uint32_t>(length));
  auto trailer = encodeTrailer(epoch);
  std::memcpy(frame, header.data(), header.size());
  std::memcpy(payload + length, trailer.data(), trailer.size());
  used_ += kFrameHeader + length + kFrameTrailer;
}

std::span<const std::byte> FrameQueue::take() {
  std::swap(adding_, taken_);
  size_t size = used_;
  used_ = 0;
  return {taken_.get(), size};
}

}  // namespace cove
