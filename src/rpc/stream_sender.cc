#include <algorithm>
#include <cerrno>
#include <unistd.h>
#include <utility>
#include <vector>

#include "rpc/co.h"
#include "rpc/limits.h"
#include "rpc/pipe_size.h"
#include "rpc/ring.h"
#include "rpc/stream.h"

namespace cove {

namespace {
// A writer of small pieces is faster than their way to the sink. So after a short read they gather in the
// pipe until the sink has acknowledged something (as TCP does it, RFC 896), or this long. So does the end of
// file, where the writer's own end is about to be told: they go together then.
constexpr auto kGather = 2 * kj::MILLISECONDS;
// With less room than this, acknowledgements are awaited: else each of them would make room for a small
// piece.
constexpr size_t kWorthReading = kStreamChunk / 2;
}  // namespace

class StreamSender::Impl final : private kj::TaskSet::ErrorHandler {
 public:
  Impl(kj::UnixEventPort& port, Fd source, bool endIsTold)
      : port_(port), source_(std::move(source)), endIsTold_(endIsTold), tasks_(*this) {
    setNonblocking(source_);
    tasks_.add(readLoop());
  }

  void attach(rpc::ByteSink::Client sink) {
    detach();
    sink_ = kj::mv(sink);
    sent_ = ring_.begin();
    flush();
  }
  void detach() {
    ++generation_;
    sink_ = nullptr;
    unanswered_ = 0;
    endSent_ = false;
    settle(acknowledgedWaiters_, kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                                               kj::str("the stream's receiver is gone")));
  }
  bool attached() const { return sink_ != nullptr; }
  bool refused() const { return refused_; }

  void endAfter(kj::Duration grace) {
    if (atEnd_) return;
    gathering_ = false;
    wakeReader();
    tasks_.add(port_.getTimer().afterDelay(grace).then([this] {
      draining_ = true;
      wakeReader();
    }));
  }

  kj::Promise<void> whenSent() {
    if (refused_ || endSent_) return kj::READY_NOW;
    return waiter(sentWaiters_);
  }
  kj::Promise<void> whenAcknowledged() {
    KJ_IF_MAYBE (e, refusal_) return kj::cp(*e);
    if (acknowledged_) return kj::READY_NOW;
    return waiter(acknowledgedWaiters_);
  }

 private:
  using Waiters = std::vector<kj::Own<kj::PromiseFulfiller<void>>>;

  static kj::Promise<void> waiter(Waiters& waiters) {
    auto pair = kj::newPromiseAndFulfiller<void>();
    waiters.push_back(kj::mv(pair.fulfiller));
    return kj::mv(pair.promise);
  }
  static void settle(Waiters& waiters, kj::Maybe<kj::Exception> failure = nullptr) {
    Waiters settled;
    settled.swap(waiters);
    for (auto& each : settled) {
      KJ_IF_MAYBE (e, failure) {
        each->reject(kj::cp(*e));
      } else {
        each->fulfill();
      }
    }
  }

  co::Co<void> readLoop() {
    while (!refused_) {
      auto room = ring_.room(kStreamChunk, kWorthReading);
      if (room.empty()) {
        co_await readerWoken();
        continue;
      }
      ssize_t count = ::read(source_.get(), room.data(), room.size());
      if (count < 0 && errno == EINTR) continue;
      if (count > 0) {
        auto size = static_cast<size_t>(count);
        ring_.commit(size);
        flush();
        if (size >= kDefaultPipe && !std::exchange(enlarged_, true)) enlargePipe(source_);
        if (size < room.size() && gathering_ && sink_ != nullptr)
          co_await readerWoken().exclusiveJoin(port_.getTimer().afterDelay(kGather));
        continue;
      }
      if (count < 0 && errno == EAGAIN && !draining_) {
        if (!observer_)
          observer_ = kj::heap<kj::UnixEventPort::FdObserver>(port_, source_.get(),
                                                              kj::UnixEventPort::FdObserver::OBSERVE_READ);
        co_await observer_->whenBecomesReadable().exclusiveJoin(readerWoken());
        continue;
      }
      break;  // end of file; a terminal without its other side says EIO
    }
    if (endIsTold_ && gathering_) co_await readerWoken().exclusiveJoin(port_.getTimer().afterDelay(kGather));
    atEnd_ = true;
    observer_ = nullptr;
    source_.reset();
    flush();
  }

  kj::Promise<void> readerWoken() {
    auto pair = kj::newPromiseAndFulfiller<void>();
    woken_ = kj::mv(pair.fulfiller);
    return kj::mv(pair.promise);
  }
  void wakeReader() {
    if (woken_) woken_->fulfill();
  }

  // Gives the sink what it did not get yet. The ring holds no more than a window; what comes in small pieces
  // that are not answered goes together.
  void flush() {
    KJ_IF_MAYBE (sink, sink_) {
      while (sent_ < ring_.end() && unanswered_ < kStreamWrites) {
        ++unanswered_;
        auto part = ring_.from(sent_, kStreamChunk);
        auto request = sink->writeRequest(capnp::MessageSize{part.size() / sizeof(capnp::word) + 16, 0});
        request.setOffset(sent_);
        request.setData(kj::arrayPtr(reinterpret_cast<const kj::byte*>(part.data()), part.size()));
        sent_ += part.size();
        tasks_.add(request.send().then(
            [this, generation = generation_, upTo = sent_](auto&&) {
              if (generation != generation_) return;
              --unanswered_;
              ring_.release(upTo);
              wakeReader();
              if (sent_ < ring_.end() || atEnd_) flush();
            },
            failed()));
      }
      if (!atEnd_ || endSent_ || sent_ < ring_.end()) return;
      auto request = sink->endRequest();
      request.setSize(sent_);
      endSent_ = true;
      tasks_.add(request.send().then(
          [this, generation = generation_](auto&&) {
            if (generation != generation_) return;
            acknowledged_ = true;
            settle(acknowledgedWaiters_);
          },
          failed()));
      settle(sentWaiters_);
    }
  }

  std::function<void(kj::Exception&&)> failed() {
    return [this, generation = generation_](kj::Exception&& e) {
      if (generation != generation_) return;
      if (isDisconnected(e)) return detach();
      refuse(kj::mv(e));
    };
  }

  void refuse(kj::Exception&& e) {
    ++generation_;
    refused_ = true;
    sink_ = nullptr;
    ring_.release(ring_.end());
    wakeReader();  // which closes the descriptor
    settle(sentWaiters_);
    settle(acknowledgedWaiters_, kj::cp(e));
    refusal_ = kj::mv(e);
  }

  void taskFailed(kj::Exception&& e) override { refuse(kj::mv(e)); }

  kj::UnixEventPort& port_;
  Fd source_;
  bool endIsTold_;
  kj::Own<kj::UnixEventPort::FdObserver> observer_;
  Ring ring_{kReplayRing};
  kj::Maybe<rpc::ByteSink::Client> sink_;
  uint64_t sent_ = 0;
  size_t unanswered_ = 0;    // writes
  uint64_t generation_ = 0;  // of sinks: answers of an earlier one mean nothing
  bool gathering_ = true, enlarged_ = false;
  bool atEnd_ = false, draining_ = false, endSent_ = false, acknowledged_ = false, refused_ = false;
  kj::Maybe<kj::Exception> refusal_;
  Waiters sentWaiters_, acknowledgedWaiters_;
  kj::Own<kj::PromiseFulfiller<void>> woken_;
  kj::TaskSet tasks_;
};

StreamSender::StreamSender(kj::UnixEventPort& port, Fd source, bool endIsTold)
    : impl_(kj::heap<Impl>(port, std::move(source), endIsTold)) {}
StreamSender::~StreamSender() noexcept(false) {}
void StreamSender::attach(rpc::ByteSink::Client sink) { impl_->attach(kj::mv(sink)); }
void StreamSender::detach() { impl_->detach(); }
bool StreamSender::attached() const { return impl_->attached(); }
void StreamSender::endAfter(kj::Duration grace) { impl_->endAfter(grace); }
kj::Promise<void> StreamSender::whenSent() { return impl_->whenSent(); }
kj::Promise<void> StreamSender::whenAcknowledged() { return impl_->whenAcknowledged(); }
bool StreamSender::refused() const { return impl_->refused(); }

kj::Promise<void> sendAll(kj::UnixEventPort& port, Fd source, rpc::ByteSink::Client sink) {
  auto sender = kj::heap<StreamSender>(port, std::move(source));
  sender->attach(kj::mv(sink));
  auto done = sender->whenAcknowledged();
  return done.attach(kj::mv(sender));
}

}  // namespace cove
