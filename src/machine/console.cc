#include "machine/console.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "rpc/co.h"
#include "rpc/limits.h"

namespace cove {

namespace {
constexpr size_t kLogLimit = 1 << 20;
constexpr size_t kRemembered = 64 * 1024;
constexpr size_t kPanicLine = 512;

void keepTail(std::string& text, std::string_view more, size_t limit) {
  text += more;
  if (text.size() > 2 * limit) text.erase(0, text.size() - limit);
}
}  // namespace

// One attached client.
class Console::Viewer {
 public:
  explicit Viewer(rpc::ByteSink::Client sink) : sink_(kj::mv(sink)) {}
  bool gone() const { return gone_; }

  // Nobody waits for a viewer who reads nothing: he is gone when his window is full.
  void send(std::string_view data) {
    waiting_ += data;
    flush();
    if (pending_ + waiting_.size() > kStreamWindow) gone_ = true;
  }
  void end() {
    ended_ = true;
    flush();
  }

 private:
  // A guest prints in small pieces; those that a slow viewer did not take yet go together.
  void flush() {
    size_t at = 0;
    for (; !gone_ && at < waiting_.size() && writes_ < kStreamWrites; ++writes_) {
      size_t n = std::min({waiting_.size() - at, kStreamChunk, kStreamWindow - pending_});
      if (n == 0) break;
      auto request = sink_.writeRequest();
      request.setOffset(offset_);
      request.setData({reinterpret_cast<const kj::byte*>(waiting_.data()) + at, n});
      at += n;
      offset_ += n;
      pending_ += n;
      tasks_.add(request.send().then([this, n](auto&&) {
        pending_ -= n;
        --writes_;
        flush();
      }));
    }
    waiting_.erase(0, at);
    if (!ended_ || endSent_ || gone_ || !waiting_.empty()) return;
    endSent_ = true;
    auto request = sink_.endRequest();
    request.setSize(offset_);
    tasks_.add(request.send().ignoreResult());
  }

  struct Failed : kj::TaskSet::ErrorHandler {
    bool& gone;
    explicit Failed(bool& g) : gone(g) {}
    void taskFailed(kj::Exception&&) override { gone = true; }
  };
  rpc::ByteSink::Client sink_;
  uint64_t offset_ = 0;
  size_t pending_ = 0, writes_ = 0;  // unanswered: bytes, calls
  std::string waiting_;
  bool gone_ = false, ended_ = false, endSent_ = false;
  Failed failed_{gone_};
  kj::TaskSet tasks_{failed_};
};

// What one client types.
class Console::Input final : public rpc::ByteSink::Server {
 public:
  explicit Input(Console& console) : console_(console) {}

  kj::Promise<void> write(WriteContext context) override {
    auto params = context.getParams();
    auto data = params.getData();
    if (data.size() > kStreamChunk) throw Error("cannot type into the console: too much at once");
    if (params.getOffset() > offset_) throw Error("cannot type into the console: bytes are missing");
    size_t known = static_cast<size_t>(offset_ - params.getOffset());
    if (known >= data.size()) return kj::READY_NOW;
    data = data.slice(known, data.size());
    if (console_.typed_ + data.size() > kStreamWindow)
      throw Error("cannot type into the console: the guest does not read it");
    offset_ += data.size();
    console_.typed_ += data.size();
    auto bytes = kj::heapArray<kj::byte>(data);
    // One at a time, whoever types: a stream takes one write at once.
    auto written = console_.typing_
                       .then([&console = console_, data = bytes.asPtr()] {
                         return console.stream_->write(data.begin(), data.size());
                       })
                       .then([&console = console_, n = bytes.size()] { console.typed_ -= n; })
                       .attach(kj::mv(bytes))
                       .fork();
    console_.typing_ = written.addBranch().catch_([](kj::Exception&&) {}).eagerlyEvaluate(nullptr);
    return written.addBranch();
  }
  kj::Promise<void> end(EndContext) override { return kj::READY_NOW; }

 private:
  Console& console_;
  uint64_t offset_ = 0;
};

Console::Console(kj::Own<kj::AsyncIoStream> stream, const Fd& instanceDir)
    : stream_(kj::mv(stream)), log_(instanceDir, "serial.log", kLogLimit) {}
Console::~Console() noexcept(false) {}

kj::Promise<void> Console::run() {
  return [](Console& self) -> co::Co<void> {
    char buffer[16384];
    for (;;) {
      size_t n = co_await self.stream_->tryRead(buffer, 1, sizeof buffer);
      if (n == 0) break;
      self.take({buffer, n});
    }
    for (auto& viewer : self.viewers_) viewer->end();
  }(*this);
}

void Console::take(std::string_view data) {
  log_.append(data);
  keepTail(remembered_, data, kRemembered);
  keepTail(sincePanicReset_, data, kRemembered);
  for (auto& viewer : viewers_) viewer->send(data);
  viewers_.remove_if([](const kj::Own<Viewer>& viewer) { return viewer->gone(); });
}

rpc::ByteSink::Client Console::attach(rpc::ByteSink::Client output) {
  auto viewer = kj::heap<Viewer>(kj::mv(output));
  size_t tail = std::min(remembered_.size(), kRemembered);
  viewer->send(std::string_view(remembered_).substr(remembered_.size() - tail));
  viewers_.push_back(kj::mv(viewer));
  return kj::heap<Input>(*this);
}

std::string Console::panic() const {
  // A boot that the agent gave up says why in a line of its own, before it panics for want of an init.
  size_t at = sincePanicReset_.find("cove-agent: boot failed");
  if (at == std::string::npos) at = sincePanicReset_.find("Kernel panic");
  if (at == std::string::npos) return {};
  size_t end = sincePanicReset_.find_first_of("\r\n", at);
  return escapeForTerminal(std::string_view(sincePanicReset_)
                               .substr(at, std::min(end == std::string::npos ? end : end - at, kPanicLine)));
}

}  // namespace cove
