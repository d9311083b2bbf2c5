#include "target/standard_io.h"

#include <array>
#include <cerrno>
#include <climits>
#include <deque>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "rpc/co.h"
#include "rpc/limits.h"
#include "target/helper_thread.h"

namespace cove {

namespace {
using Chunk = std::array<kj::byte, kStreamChunk>;

// Reads when there is something to read, so that it can be stopped in between.
class Input {
 public:
  Input(kj::UnixEventPort& port, int fd)
      : fd_(fd),
        chunk_(std::make_shared<Chunk>()),
        stop_(std::make_shared<Fd>(::eventfd(0, EFD_CLOEXEC), "make", "an event descriptor")),
        thread_(port) {}
  ~Input() {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t written = ::write(stop_->get(), &one, sizeof one);
  }
  // Bytes read, now in data(); 0 at the end, which an error is as well.
  kj::Promise<ssize_t> read() {
    return thread_.run([fd = fd_, chunk = chunk_, stop = stop_]() -> ssize_t {
      for (;;) {
        pollfd polled[] = {{fd, POLLIN, 0}, {stop->get(), POLLIN, 0}};
        if (::poll(polled, 2, -1) < 0 && errno != EINTR) return 0;
        if (polled[1].revents != 0) return 0;
        if (polled[0].revents == 0) continue;
        ssize_t count = ::read(fd, chunk->data(), chunk->size());
        if (count >= 0) return count;
        if (errno != EINTR && errno != EAGAIN) return 0;
      }
    });
  }
  kj::ArrayPtr<const kj::byte> data(size_t size) const { return kj::arrayPtr(chunk_->data(), size); }

 private:
  int fd_;
  std::shared_ptr<Chunk> chunk_;
  std::shared_ptr<Fd> stop_;
  HelperThread thread_;
};

co::Co<void> pumpInput(kj::UnixEventPort& port, int fd, rpc::ByteSink::Client sink, uint64_t offset) {
  Input input(port, fd);
  std::deque<kj::Promise<void>> unacknowledged;
  for (;;) {
    ssize_t count = co_await input.read();
    if (count <= 0) break;
    auto size = static_cast<size_t>(count);
    auto request = sink.writeRequest(capnp::MessageSize{size / sizeof(capnp::word) + 16, 0});
    request.setOffset(offset);
    request.setData(input.data(size));
    offset += size;
    unacknowledged.push_back(request.send().ignoreResult().eagerlyEvaluate(nullptr));
    if (unacknowledged.size() < kStreamWindow / kStreamChunk) continue;
    co_await unacknowledged.front();
    unacknowledged.pop_front();
  }
  auto end = sink.endRequest();
  end.setSize(offset);
  co_await end.send().ignoreResult();
}

class Output final : public rpc::ByteSink::Server {
 public:
  Output(kj::UnixEventPort& port, int fd, StreamStart start, kj::Own<kj::PromiseFulfiller<int>> ended)
      : fd_(fd),
        thread_(port),
        begun_(start == StreamStart::kBeginning),
        ended_(kj::mv(ended)),
        tail_(kj::Promise<void>(kj::READY_NOW).fork()) {
    struct stat st {};
    if (::fstat(fd, &st) == 0) type_ = st.st_mode & S_IFMT;
  }
  ~Output() noexcept(false) {
    if (ended_->isWaiting()) ended_->fulfill(0);
  }

  kj::Promise<void> write(WriteContext context) override {
    auto params = context.getParams();
    auto data = params.getData();
    begin(params.getOffset());
    expect(params.getOffset() == received_, "a stream has a gap");
    expect(data.size() <= kStreamChunk && queued_ + data.size() <= kStreamWindow && writes_ < kStreamWrites,
           "a stream's sender floods");
    received_ += data.size();
    queued_ += data.size();
    ++writes_;
    return inTurn([this, context]() mutable -> kj::Promise<void> {
      auto turn = context.getParams().getData();
      queued_ -= turn.size();
      --writes_;
      return put(turn);
    });
  }
  kj::Promise<void> end(EndContext context) override {
    begin(context.getParams().getSize());
    expect(context.getParams().getSize() == received_, "a stream has another size than its end says");
    return inTurn([this]() -> kj::Promise<void> {
      ended_->fulfill(0);
      return kj::READY_NOW;
    });
  }

 private:
  void begin(uint64_t offset) {
    if (!std::exchange(begun_, true)) received_ = offset;
  }
  // Nothing more is taken from a sender that breaks the rules, so nobody may wait for its end.
  void expect(bool rule, const char* broken) {
    if (rule) return;
    ended_->fulfill(EPROTO);
    KJ_FAIL_REQUIRE(broken);
  }
  template <typename Body>
  kj::Promise<void> inTurn(Body&& body) {
    tail_ = tail_.addBranch().then(kj::fwd<Body>(body)).fork();
    return tail_.addBranch();
  }

  // At once where that cannot block: a pipe that polls writable takes PIPE_BUF bytes, a file takes all.
  kj::Promise<void> put(kj::ArrayPtr<const kj::byte> data) {
    pollfd polled{fd_, POLLOUT, 0};
    bool now =
        type_ == S_IFREG || (type_ == S_IFIFO && data.size() <= PIPE_BUF && ::poll(&polled, 1, 0) == 1);
    if (now) return answer(writeWhole(fd_, data.begin(), data.size()));
    auto copy = std::make_shared<kj::Array<kj::byte>>(kj::heapArray(data));
    return thread_.run([fd = fd_, copy] { return writeWhole(fd, copy->begin(), copy->size()); })
        .then([this](ssize_t error) { return answer(error); });
  }

  // 0, or errno.
  static ssize_t writeWhole(int fd, const kj::byte* data, size_t size) {
    while (size > 0) {
      ssize_t count = ::write(fd, data, size);
      if (count < 0 && errno == EAGAIN) {  // somebody else made it nonblocking
        pollfd polled{fd, POLLOUT, 0};
        ::poll(&polled, 1, -1);
        continue;
      }
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return errno;
      data += count;
      size -= static_cast<size_t>(count);
    }
    return 0;
  }

  kj::Promise<void> answer(ssize_t error) {
    if (error == 0) return kj::READY_NOW;
    ended_->fulfill(static_cast<int>(error));
    return toKj(sysError("write", "the output", static_cast<int>(error)));
  }

  int fd_;
  mode_t type_ = 0;
  HelperThread thread_;
  bool begun_;
  uint64_t received_ = 0;
  size_t queued_ = 0;  // bytes, in
  size_t writes_ = 0;  // so many writes that wait for their turn
  kj::Own<kj::PromiseFulfiller<int>> ended_;
  kj::ForkedPromise<void> tail_;
};
}  // namespace

kj::Promise<void> sendStandardInput(kj::UnixEventPort& port, int fd, rpc::ByteSink::Client sink,
                                    uint64_t begin) {
  return pumpInput(port, fd, kj::mv(sink), begin);
}

StandardOutput makeStandardOutput(kj::UnixEventPort& port, int fd, StreamStart start) {
  auto ended = kj::newPromiseAndFulfiller<int>();
  return {kj::heap<Output>(port, fd, start, kj::mv(ended.fulfiller)), kj::mv(ended.promise)};
}

}  // namespace cove
