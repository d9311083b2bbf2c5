#include <algorithm>
#include <cerrno>
#include <deque>
#include <unistd.h>

#include "base/text.h"
#include "rpc/co.h"
#include "rpc/limits.h"
#include "rpc/pipe_size.h"
#include "rpc/stream.h"

namespace cove {

class StreamReceiver::Impl {
 public:
  // A write() or end() whose bytes the kernel did not take at once. Its data lies in the message that brought
  // it. Cancelled (its caller is gone), it takes itself off the queue.
  struct Pending {
    Pending(kj::PromiseFulfiller<void>& promise, Impl& owner, kj::ArrayPtr<const kj::byte> bytes, bool isEnd)
        : fulfiller(promise), impl(owner), data(bytes), end(isEnd) {
      impl.queue_.push_back(this);
      impl.queued_ += data.size();
    }
    ~Pending() noexcept(false) {
      auto place = std::find(impl.queue_.begin(), impl.queue_.end(), this);
      if (place == impl.queue_.end()) return;
      impl.queue_.erase(place);
      impl.queued_ -= data.size();
    }
    kj::PromiseFulfiller<void>& fulfiller;
    Impl& impl;
    kj::ArrayPtr<const kj::byte> data;
    bool end;
  };

  Impl(kj::UnixEventPort& port, Fd destination, std::function<void(Fd&)> atEnd)
      : port_(port), fd_(std::move(destination)), atEnd_(std::move(atEnd)) {
    setNonblocking(fd_);
  }

  kj::Promise<void> write(uint64_t offset, kj::ArrayPtr<const kj::byte> data) {
    if (data.size() > kStreamChunk) throw Error("a stream's write is too large");
    requireOpen();
    uint64_t received = position_ + queued_;
    if (offset > received) throw Error("a stream has a gap");
    uint64_t before = received - offset;
    if (before >= data.size()) return kj::READY_NOW;
    data = data.slice(before, data.size());
    if (queued_ + data.size() > kStreamWindow || queue_.size() >= kStreamWrites)
      throw Error("a stream's sender ignores its window");
    if (queue_.empty()) {
      data = data.slice(put(data), data.size());
      requireOpen();
      if (data.size() == 0) return kj::READY_NOW;
    }
    return enqueue(data, false);
  }

  kj::Promise<void> end(uint64_t size) {
    if (ended_ && size == position_) return kj::READY_NOW;
    requireOpen();
    if (size != position_ + queued_) throw Error("a stream has another size than its end says");
    if (!queue_.empty()) return enqueue({}, true);
    finish();
    return kj::READY_NOW;
  }

  void close(const Error& why) {
    if (failure_ || ended_) return;
    failure_ = why;
    observer_ = nullptr;
    fd_.reset();
    dropQueue(why);
  }

  // What the sender before did not get an answer for is its successor's to send.
  uint64_t takeOver() {
    dropQueue(Error("another client has taken the stream over"));
    return ++generation_;
  }
  uint64_t generation() const { return generation_; }

  uint64_t position() const { return position_; }

 private:
  void requireOpen() const {
    if (failure_) throw Error(*failure_);
    if (ended_) throw Error("a stream goes on after its end");
  }

  kj::Promise<void> enqueue(kj::ArrayPtr<const kj::byte> data, bool end) {
    auto promise = kj::newAdaptedPromise<void, Pending>(*this, data, end);
    if (queue_.size() == 1) task_ = pump().eagerlyEvaluate([this](kj::Exception&& e) { close(fromKj(e)); });
    return promise;
  }

  // Writes what goes without waiting.
  size_t put(kj::ArrayPtr<const kj::byte> data) {
    size_t done = 0;
    while (done < data.size()) {
      ssize_t count = ::write(fd_.get(), data.begin() + done, data.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) break;
      if (count < 0) {
        close(errno == EPIPE || errno == EIO || errno == ECONNRESET
                  ? Error("the reader has closed the stream")
                  : sysError("write", "a stream"));
        break;
      }
      done += static_cast<size_t>(count);
    }
    position_ += done;
    return done;
  }

  co::Co<void> pump() {
    while (!queue_.empty()) {
      Pending& head = *queue_.front();
      size_t done = put(head.data);
      if (failure_) co_return;
      head.data = head.data.slice(done, head.data.size());
      queued_ -= done;
      if (head.data.size() == 0) {
        if (head.end) finish();
        pop()->fulfiller.fulfill();
        continue;
      }
      enlargePipe(fd_);
      if (!observer_)
        observer_ = kj::heap<kj::UnixEventPort::FdObserver>(port_, fd_.get(),
                                                            kj::UnixEventPort::FdObserver::OBSERVE_WRITE);
      co_await observer_->whenBecomesWritable();
    }
  }

  void dropQueue(const Error& why) {
    while (!queue_.empty()) pop()->fulfiller.reject(toKj(why));
  }

  Pending* pop() {
    Pending* head = queue_.front();
    queue_.pop_front();
    queued_ -= head->data.size();
    return head;
  }

  void finish() {
    ended_ = true;
    observer_ = nullptr;
    atEnd_(fd_);
  }

  kj::UnixEventPort& port_;
  Fd fd_;
  std::function<void(Fd&)> atEnd_;
  kj::Own<kj::UnixEventPort::FdObserver> observer_;
  std::deque<Pending*> queue_;
  uint64_t position_ = 0;  // bytes that the kernel has
  size_t queued_ = 0;
  uint64_t generation_ = 0;  // of sinks
  bool ended_ = false;
  std::optional<Error> failure_;
  kj::Promise<void> task_ = nullptr;
};

class StreamReceiver::Sink final : public rpc::ByteSink::Server {
 public:
  explicit Sink(kj::Own<StreamReceiver> receiver)
      : receiver_(kj::mv(receiver)), generation_(receiver_->impl_->takeOver()) {}
  kj::Promise<void> write(WriteContext context) override {
    auto params = context.getParams();
    return answer(context, [&] { return current().write(params.getOffset(), params.getData()); });
  }
  kj::Promise<void> end(EndContext context) override {
    return answer(context, [&] { return current().end(context.getParams().getSize()); });
  }

 private:
  Impl& current() {
    if (generation_ != receiver_->impl_->generation())
      throw Error("another client has taken the stream over");
    return *receiver_->impl_;
  }
  template <typename Context, typename Call>
  kj::Promise<void> answer(Context& context, Call&& call) {
    context.allowCancellation();
    try {
      return call();
    } catch (const Error& e) {
      return toKj(e);
    }
  }
  kj::Own<StreamReceiver> receiver_;
  uint64_t generation_;
};

StreamReceiver::StreamReceiver(kj::UnixEventPort& port, Fd destination, std::function<void(Fd&)> atEnd)
    : impl_(kj::heap<Impl>(port, std::move(destination), std::move(atEnd))) {}
StreamReceiver::~StreamReceiver() noexcept(false) {}
rpc::ByteSink::Client StreamReceiver::makeSink() { return kj::heap<Sink>(kj::addRef(*this)); }
uint64_t StreamReceiver::offset() const { return impl_->position(); }
void StreamReceiver::close() { impl_->close(Error("the reader has closed the stream")); }

rpc::ByteSink::Client makeFdSink(kj::UnixEventPort& port, Fd destination) {
  return kj::refcounted<StreamReceiver>(port, std::move(destination))->makeSink();
}

namespace {
struct NullSink final : rpc::ByteSink::Server {
  kj::Promise<void> write(WriteContext) override { return kj::READY_NOW; }
  kj::Promise<void> end(EndContext) override { return kj::READY_NOW; }
};
}  // namespace

rpc::ByteSink::Client makeNullSink() { return kj::heap<NullSink>(); }

}  // namespace cove
