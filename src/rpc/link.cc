#include "rpc/link.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

namespace cove {

namespace {
constexpr int kReadsInARow = 32;  // then others get their turn, however much a peer sends
// Each part of a scattering read from a virtio port is filled from one of its buffers, a page each. Where a
// part is not full, the read ends.
constexpr size_t kPortBuffer = 4096;

kj::Exception disconnected(const char* why) {
  return {kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__, kj::str(why)};
}
}  // namespace

// A tryRead() that waits.
class Link::Read {
 public:
  Read(kj::PromiseFulfiller<size_t>& promise, Link& owner, std::byte* buffer, size_t least, size_t most)
      : fulfiller(promise), link(owner), to(buffer), min(least), max(most) {
    KJ_REQUIRE(link.read_ == nullptr, "one read at a time");
    link.read_ = this;
    if (link.demand_) link.demand_->fulfill();
  }
  ~Read() noexcept(false) {
    if (link.read_ == this) link.read_ = nullptr;
  }
  kj::PromiseFulfiller<size_t>& fulfiller;
  Link& link;
  std::byte* to;
  size_t min, max, got = 0;
};

class Link::Stream final : public kj::AsyncIoStream {
 public:
  explicit Stream(kj::Own<Link> link) : link_(kj::mv(link)), generation_(link_->generation_) {
    auto ended = kj::newPromiseAndFulfiller<void>();
    ended_ = ended.promise.fork();
    link_->ended_ = kj::mv(ended.fulfiller);
  }
  ~Stream() noexcept(false) {
    if (!current()) return;
    link_->endEpoch();
    if (link_->events_.lost) link_->events_.lost();
  }
  kj::Promise<size_t> tryRead(void* buffer, size_t min, size_t max) override {
    if (!current()) return size_t{0};
    return kj::newAdaptedPromise<size_t, Read>(*link_, static_cast<std::byte*>(buffer), min, max);
  }
  kj::Promise<void> write(const void* buffer, size_t size) override {
    auto piece = kj::heapArray<kj::ArrayPtr<const kj::byte>>(1);
    piece[0] = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size);
    auto promise = write(piece);
    return promise.attach(kj::mv(piece));
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    if (!current()) return disconnected("the channel's epoch has ended");
    return link_->writes_.wrap(kj::Promise<void>(link_->writeFrames(pieces)));
  }
  kj::Promise<void> whenWriteDisconnected() override { return ended_.addBranch(); }
  void shutdownWrite() override {}  // an epoch ends as a whole, when the stream is destroyed

 private:
  bool current() const { return link_->inEpoch_ && generation_ == link_->generation_; }
  kj::Own<Link> link_;
  uint64_t generation_;
  kj::ForkedPromise<void> ended_ = nullptr;
};

Link::Link(kj::UnixEventPort& port, Fd fd, bool device)
    : fd_(std::move(fd)),
      device_(device),
      port_(port),
      observer_(port, fd_.get(), kj::UnixEventPort::FdObserver::OBSERVE_READ_WRITE),
      tasks_(*this) {
  setNonblocking(fd_);
}

void Link::start(Events events) {
  events_ = std::move(events);
  tasks_.add(readLoop());
}

kj::Own<kj::AsyncIoStream> Link::makeStream() { return kj::heap<Stream>(kj::addRef(*this)); }

void Link::beginEpoch(uint64_t epoch) {
  endEpoch();
  ++generation_;
  inEpoch_ = true;
  scanner_.follow(epoch);
}

void Link::endEpoch() {
  if (!inEpoch_) return;
  inEpoch_ = false;
  scanner_.lose();
  dropWrites("the channel's epoch has ended");
  if (read_ != nullptr) finishRead(0);
  if (ended_) ended_->fulfill();
  if (demand_) demand_->fulfill();
}

co::Co<void> Link::readLoop() {
  int inARow = 0;
  for (;;) {
    parse();
    if (scanner_.following() && scanner_.payload() > 0 && read_ == nullptr) {
      auto demand = kj::newPromiseAndFulfiller<void>();
      demand_ = kj::mv(demand.fulfiller);
      co_await demand.promise;
      continue;
    }
    ssize_t count = readSome();
    if (count > 0) {
      atEnd_ = false;
      if (++inARow % kReadsInARow == 0) co_await port_.getTimer().afterDelay(0 * kj::SECONDS);
      continue;
    }
    inARow = 0;
    if (count == 0 && !atEnd_) {
      atEnd_ = true;
      endEpoch();
      if (events_.closed) events_.closed();
    }
    if (count == 0 && !device_) co_return;
    co_await observer_.whenBecomesReadable();
  }
}

void Link::parse() {
  for (;;) {
    switch (scanner_.next(input_)) {
      case Scanner::Found::kMore:
        return;
      case Scanner::Found::kPayload: {
        if (read_ == nullptr) return;
        size_t count = std::min({input_.size(), read_->max - read_->got, scanner_.payload()});
        if (count == 0) return;
        std::memcpy(read_->to + read_->got, input_.data(), count);
        input_ = input_.subspan(count);
        scanner_.takePayload(count);
        read_->got += count;
        answerRead();
        break;
      }
      case Scanner::Found::kFrameEnd:
        answerRead();
        break;
      case Scanner::Found::kRecord:
        if (events_.record) events_.record(scanner_.record(), scanner_.nonce());
        break;
      case Scanner::Found::kBroken:
        endEpoch();
        if (events_.lost) events_.lost();
        break;
    }
  }
}

// Payload goes straight to who reads it; what follows it, and all else, to buffer_.
ssize_t Link::readSome() {
  if (!input_.empty()) std::memmove(buffer_.data(), input_.data(), input_.size());
  size_t kept = input_.size();
  size_t direct = 0;
  std::array<iovec, kFrame / kPortBuffer + 2> parts;
  int n = 0;
  if (scanner_.following() && scanner_.payload() > 0) {
    direct = std::min(read_->max - read_->got, scanner_.payload());
    for (size_t at = 0; at < direct; at += kPortBuffer)
      parts[n++] = {read_->to + read_->got + at, std::min(direct - at, kPortBuffer)};
  }
  parts[n++] = {buffer_.data() + kept, buffer_.size() - kept};
  ssize_t count;
  do count = ::readv(fd_.get(), parts.data(), n);
  while (count < 0 && errno == EINTR);
  if (count < 0 && errno != EAGAIN) count = 0;  // ECONNRESET and the like
  size_t got = count > 0 ? static_cast<size_t>(count) : 0;
  direct = std::min(direct, got);
  input_ = {buffer_.data(), kept + got - direct};
  if (direct > 0) {
    scanner_.takePayload(direct);
    read_->got += direct;
    answerRead();
  }
  return count;
}

void Link::answerRead() {
  if (read_ != nullptr && read_->got >= read_->min && read_->got > 0 && !scanner_.unverified())
    finishRead(read_->got);
}

void Link::finishRead(size_t count) {
  auto& fulfiller = read_->fulfiller;
  read_ = nullptr;
  fulfiller.fulfill(kj::mv(count));
}

kj::Promise<void> Link::sendOpening(Record type, uint64_t nonce) {
  std::vector<std::byte> bytes(kFlush);
  auto record = encodeRecord(type, nonce);
  bytes.insert(bytes.end(), record.begin(), record.end());
  dropWrites("the channel begins anew");
  return writes_.wrap(kj::Promise<void>(writeBytes(std::move(bytes))));
}

kj::Promise<void> Link::sendRecord(Record type, uint64_t nonce) {
  auto record = encodeRecord(type, nonce);
  dropWrites("the channel begins anew");
  return writes_.wrap(kj::Promise<void>(writeBytes({record.begin(), record.end()})));
}

co::Co<void> Link::writeBytes(std::vector<std::byte> bytes) { co_await writeAll(bytes); }

co::Co<void> Link::writeFrames(FrameQueue::Pieces pieces) {
  size_t offset = 0;
  while (pieces.size() > 0) {
    if (queue_.full()) co_await whenRoom();
    queue_.add(scanner_.epoch(), pieces, offset);
    startFlushing();
  }
}

kj::Promise<void> Link::whenRoom() {
  auto room = kj::newPromiseAndFulfiller<void>();
  room_ = kj::mv(room.fulfiller);
  return kj::mv(room.promise);
}

void Link::startFlushing() {
  if (std::exchange(flushing_, true)) return;
  flusher_ = flush().eagerlyEvaluate([this](kj::Exception&&) {
    flushing_ = false;  // so that it is not destroyed in its own callback
    endEpoch();
  });
}

co::Co<void> Link::flush() {
  while (!queue_.empty()) {
    auto othersDone = kj::evalLast([] {});
    if (!queue_.full()) co_await othersDone;
    std::span<const std::byte> frames = queue_.take();
    if (room_) room_->fulfill();
    co_await writeAll(frames);
  }
  flushing_ = false;
}

void Link::dropWrites(const char* why) {
  writes_.cancel(disconnected(why));
  if (std::exchange(flushing_, false)) flusher_ = nullptr;
  queue_.clear();
}

co::Co<void> Link::writeAll(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t count = ::write(fd_.get(), bytes.data(), bytes.size());
    if (count >= 0) {
      bytes = bytes.subspan(static_cast<size_t>(count));
    } else if (errno == EAGAIN) {
      co_await observer_.whenBecomesWritable();
    } else if (errno != EINTR) {
      kj::throwFatalException(disconnected("the channel is closed"));
    }
  }
}

void Link::taskFailed(kj::Exception&&) { endEpoch(); }

}  // namespace cove
