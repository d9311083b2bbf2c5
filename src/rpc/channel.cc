#include "rpc/channel.h"

#include <memory>

#include "rpc/link.h"

namespace cove {

namespace {
constexpr auto kHelloEvery = 50 * kj::MILLISECONDS;
constexpr auto kWelcomeLimit = 5 * kj::SECONDS;  // of an agent that hears; a loaded host

// Without zeros, which would be read page by page before anything else. Should a host have been cut off in
// the middle of a frame after all, no welcome comes, and whoever opens next sends them.
co::Co<kj::Own<kj::AsyncIoStream>> openAtOnce(kj::UnixEventPort& port, Fd socket) {
  auto link = kj::refcounted<Link>(port, std::move(socket), false);
  uint64_t nonce = freshNonce();
  auto welcomed = std::make_shared<bool>(false);
  link->start({.record =
                   [&running = *link, nonce, welcomed](Record type, uint64_t answered) {
                     if (type == Record::kWelcome && answered == nonce) *welcomed = true;
                     if (type == Record::kHere) running.endEpoch();
                   },
               .lost = {},
               .closed = {}});
  co_await link->sendRecord(Record::kHello, nonce);
  link->beginEpoch(nonce);
  auto late = port.getTimer().afterDelay(kWelcomeLimit).then([&running = *link, welcomed] {
    if (!*welcomed) running.endEpoch();
  });
  co_return link->makeStream().attach(late.eagerlyEvaluate(nullptr));
}

co::Co<kj::Own<kj::AsyncIoStream>> openHostSide(kj::UnixEventPort& port, Fd socket) {
  auto link = kj::refcounted<Link>(port, std::move(socket), false);
  uint64_t nonce = freshNonce();
  bool begun = false, closed = false;
  kj::Own<kj::PromiseFulfiller<void>> wake;
  link->start({.record =
                   [&](Record type, uint64_t answered) {
                     if (type == Record::kWelcome && answered == nonce && !begun) {
                       link->beginEpoch(nonce);
                       begun = true;
                     } else if (type == Record::kHere && begun) {
                       link->endEpoch();  // restarted before anybody has seen the stream
                     }
                     if (wake) wake->fulfill();
                   },
               .lost = {},
               .closed =
                   [&] {
                     closed = true;
                     if (wake) wake->fulfill();
                   }});
  while (!begun && !closed) {
    auto woken = kj::newPromiseAndFulfiller<void>();
    wake = kj::mv(woken.fulfiller);
    // Never dropped in its middle: the agent may already be between two frames of this epoch.
    co_await link->sendOpening(Record::kHello, nonce);
    if (!begun && !closed) co_await woken.promise.exclusiveJoin(port.getTimer().afterDelay(kHelloEvery));
  }
  if (!begun) throw Error("the machine closed the agent's channel");
  // From now on a "here" means that the agent was restarted. The stream keeps the link alive.
  link->stop();
  link->onRecord([&running = *link](Record type, uint64_t) {
    if (type == Record::kHere) running.endEpoch();
  });
  co_return link->makeStream();
}
}  // namespace

kj::Promise<kj::Own<kj::AsyncIoStream>> openChannel(kj::UnixEventPort& port, Fd socket, Opening opening) {
  if (opening == Opening::kAtOnce) return openAtOnce(port, std::move(socket));
  return openHostSide(port, std::move(socket));
}

class ChannelServer::Impl final : private kj::TaskSet::ErrorHandler {
 public:
  Impl(kj::UnixEventPort& port, Fd device)
      : link_(kj::refcounted<Link>(port, std::move(device), true)), tasks_(*this) {
    announce();  // before the first read, whose hello takes its place
    link_->start({.record = [this](Record type, uint64_t nonce) { onRecord(type, nonce); },
                  .lost = [this] { announce(); },
                  .closed = {}});
  }
  ~Impl() noexcept(false) { link_->stop(); }

  kj::Promise<kj::Own<kj::AsyncIoStream>> accept() {
    auto next = kj::newPromiseAndFulfiller<kj::Own<kj::AsyncIoStream>>();
    waiting_ = kj::mv(next.fulfiller);
    handOver();
    return kj::mv(next.promise);
  }

 private:
  // So that a host, which may sit in half a frame of the agent before this one, opens anew.
  void announce() { tasks_.add(link_->sendOpening(Record::kHere, 0)); }

  void onRecord(Record type, uint64_t nonce) {
    // A host repeats its hello until it sees the welcome, which comes once.
    if (type != Record::kHello || nonce == 0 || (link_->inEpoch() && nonce == epoch_)) return;
    link_->beginEpoch(nonce);
    epoch_ = nonce;
    welcomed_ = false;
    tasks_.add(link_->sendRecord(Record::kWelcome, nonce).then([this, nonce] {
      welcomed_ = nonce == epoch_;
      handOver();
    }));
  }

  void handOver() {
    if (!welcomed_ || !waiting_ || !link_->inEpoch()) return;
    welcomed_ = false;
    auto waiting = kj::mv(waiting_);
    waiting->fulfill(link_->makeStream());
  }

  // Writes that a newer record took the place of.
  void taskFailed(kj::Exception&&) override {}

  kj::Own<Link> link_;
  uint64_t epoch_ = 0;
  bool welcomed_ = false;
  kj::Own<kj::PromiseFulfiller<kj::Own<kj::AsyncIoStream>>> waiting_;
  kj::TaskSet tasks_;
};

ChannelServer::ChannelServer(kj::UnixEventPort& port, Fd device)
    : impl_(kj::heap<Impl>(port, std::move(device))) {}
ChannelServer::~ChannelServer() noexcept(false) {}
kj::Promise<kj::Own<kj::AsyncIoStream>> ChannelServer::accept() { return impl_->accept(); }

}  // namespace cove
