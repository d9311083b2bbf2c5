#include "target/standard_io.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <optional>
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
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// While others are on their way, small pieces gather for so long (as in rpc/stream_sender.cc).
constexpr milliseconds kGather{2};

int leftMs(steady_clock::time_point until) {
  auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
  return static_cast<int>(std::max(left.count(), milliseconds::rep{0}));
}

struct Chunk {
  std::array<kj::byte, kStreamChunk> bytes;
  bool atEnd = false;
};

// Reads up to a chunk: waits for the first byte, then `gather` at most for the others. 0 at the end, which an
// error is as well, and when `stop` becomes readable.
size_t fill(Chunk& chunk, int fd, int stop, milliseconds gather) {
  size_t got = 0;
  std::optional<steady_clock::time_point> until;
  while (!chunk.atEnd && got < chunk.bytes.size()) {
    pollfd polled[] = {{fd, POLLIN, 0}, {stop, POLLIN, 0}};
    int ready = ::poll(polled, 2, until ? leftMs(*until) : -1);
    if (polled[1].revents != 0) return 0;
    if (ready == 0) break;
    ssize_t count = ready > 0 ? ::read(fd, chunk.bytes.data() + got, chunk.bytes.size() - got) : -1;
    if (count > 0)
      got += static_cast<size_t>(count);
    else if (count == 0 || (errno != EINTR && errno != EAGAIN))
      chunk.atEnd = true;  // kept: a terminal says it once
    if (got > 0 && !until) until = steady_clock::now() + gather;
  }
  return got;
}

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
  // Bytes read, now in data(); 0 at the end.
  kj::Promise<ssize_t> read(milliseconds gather) {
    return thread_.run([fd = fd_, chunk = chunk_, stop = stop_, gather] {
      return static_cast<ssize_t>(fill(*chunk, fd, stop->get(), gather));
    });
  }
  kj::ArrayPtr<const kj::byte> data(size_t size) const { return kj::arrayPtr(chunk_->bytes.data(), size); }

 private:
  int fd_;
  std::shared_ptr<Chunk> chunk_;
  std::shared_ptr<Fd> stop_;
  HelperThread thread_;
};

// What was sent and not acknowledged yet.
class InFlight final : private kj::TaskSet::ErrorHandler {
 public:
  bool empty() const { return writes_ == 0; }
  void add(kj::Promise<void> write, size_t size) {
    ++writes_;
    bytes_ += size;
    tasks_.add(write.then([this, size] {
      --writes_;
      bytes_ -= size;
      if (waiting_ && !full()) waiting_->fulfill();
    }));
  }
  // There is room for a chunk. Fails when a write has failed.
  kj::Promise<void> whenRoom() {
    KJ_IF_MAYBE (e, failure_) return kj::cp(*e);
    if (!full()) return kj::READY_NOW;
    auto room = kj::newPromiseAndFulfiller<void>();
    waiting_ = kj::mv(room.fulfiller);
    return kj::mv(room.promise);
  }

 private:
  bool full() const { return bytes_ + kStreamChunk > kStreamWindow || writes_ >= kStreamWrites; }
  void taskFailed(kj::Exception&& e) override {
    if (waiting_) waiting_->reject(kj::cp(e));
    failure_ = kj::mv(e);
  }

  size_t writes_ = 0, bytes_ = 0;
  kj::Maybe<kj::Exception> failure_;
  kj::Own<kj::PromiseFulfiller<void>> waiting_;
  kj::TaskSet tasks_{*this};
};

co::Co<void> pumpInput(kj::UnixEventPort& port, int fd, rpc::ByteSink::Client sink, uint64_t offset) {
  Input input(port, fd);
  InFlight inFlight;
  for (;;) {
    milliseconds gather = inFlight.empty() ? milliseconds{0} : kGather;
    ssize_t count = co_await input.read(gather);
    if (count <= 0) break;
    auto size = static_cast<size_t>(count);
    auto request = sink.writeRequest(capnp::MessageSize{size / sizeof(capnp::word) + 16, 0});
    request.setOffset(offset);
    request.setData(input.data(size));
    offset += size;
    inFlight.add(request.send().ignoreResult(), size);
    co_await inFlight.whenRoom();
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
