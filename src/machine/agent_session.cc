#include "machine/agent_session.h"

#include <ctime>
#include <sys/random.h>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "rpc/channel.h"

namespace cove {

namespace {
constexpr size_t kFailedUnits = 64, kUnitName = 256, kHostKey = 1024, kReason = 512;
constexpr unsigned kSeedBytes = 64;  // getrandom(2) gives so many at once
// Between two sessions: an agent that breaks each of them must not keep this process busy. One that was
// killed after a while is back soon.
constexpr auto kShortPause = 50 * kj::MILLISECONDS, kLongPause = 5 * kj::SECONDS, kLasting = 10 * kj::SECONDS;

// Ends as an error that a user understands, where the channel's stream just ends: calls in flight fail with
// it.
class AgentStream final : public kj::AsyncIoStream {
 public:
  AgentStream(kj::Own<kj::AsyncIoStream> inner, const std::string& why) : inner_(kj::mv(inner)), why_(why) {}
  kj::Promise<size_t> tryRead(void* buffer, size_t min, size_t max) override {
    return inner_->tryRead(buffer, min, max).then([this, min](size_t n) {
      if (n < min) kj::throwFatalException(toKj(Error(why_)));
      return n;
    });
  }
  kj::Promise<void> write(const void* buffer, size_t size) override { return inner_->write(buffer, size); }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return inner_->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner_->whenWriteDisconnected(); }
  void shutdownWrite() override { inner_->shutdownWrite(); }
  void abortRead() override { inner_->abortRead(); }

 private:
  kj::Own<kj::AsyncIoStream> inner_;
  const std::string& why_;
};

int64_t clockNs() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

void fillRandom(kj::ArrayPtr<kj::byte> bytes) {
  if (::getrandom(bytes.begin(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw sysError("draw", "random bytes");
}

std::string bounded(capnp::Text::Reader text, size_t limit) {
  return escapeForTerminal(std::string_view(text.begin(), std::min(text.size(), limit)));
}

template <typename T>
kj::Promise<T> within(kj::Timer& timer, kj::Duration limit, const char* what, kj::Promise<T>&& promise) {
  return timer.timeoutAfter(limit, kj::mv(promise)).catch_([what](kj::Exception&& e) -> kj::Promise<T> {
    // The timer's exception; that of a call that was answered with one is told apart by its text.
    if (e.getType() == kj::Exception::Type::OVERLOADED)
      return toKj(Error(str("the guest's agent did not answer in time (", what, ")")));
    return kj::mv(e);
  });
}
}  // namespace

using ReadyAnswer = kj::Promise<capnp::Response<rpc::Agent::WaitReadyResults>>;

struct AgentSession::Epoch {
  Connection connection;
  rpc::Agent::Client agent;
  kj::Maybe<rpc::Target::Client> target;
  kj::Own<kj::PromiseFulfiller<void>> forgotten;
  Epoch(kj::Own<kj::AsyncIoStream> stream, const std::string& why)
      : connection(kj::heap<AgentStream>(kj::mv(stream), why), Side::kClient),
        agent(connection.bootstrap<rpc::Agent>()) {}
};

AgentSession::AgentSession(kj::UnixEventPort& eventPort, Fd port, rpc::VmConfig::Reader config,
                           AgentLimits limits, Events events)
    : eventPort_(eventPort),
      port_(std::move(port)),
      config_(config),
      limits_(limits),
      events_(std::move(events)),
      goesOn_(config.getFromSaved() || config.getResume()),
      stands_(goesOn_) {}

kj::Promise<void> AgentSession::run() {
  return [](AgentSession& self) -> co::Co<void> {
    for (;;) co_await self.serveEpoch();
  }(*this);
}

co::Co<void> AgentSession::configure(Epoch& epoch) {
  kj::Timer& timer = eventPort_.getTimer();
  auto request = epoch.agent.configureRequest();
  auto config = request.initConfig();
  config.setHostname(config_.getName());
  config.setUser(config_.getUser());
  config.setAuthorizedKeys(config_.getAuthorizedKeys());
  config.setTimeNs(clockNs());
  config.setId(config_.getId());
  if (goesOn_) fillRandom(config.initSeed(kSeedBytes));
  kj::Promise<void> configured = request.send().ignoreResult();
  auto targetAnswer = epoch.agent.targetRequest().send();
  ReadyAnswer readyAnswer = nullptr;
  // What boots has other things to do first; where it stood it knows the answer.
  if (goesOn_) readyAnswer = epoch.agent.waitReadyRequest().send();
  co_await within(timer, limits_.answer, "configure", kj::mv(configured));
  auto target = co_await within<capnp::Response<rpc::Agent::TargetResults>>(timer, limits_.answer, "target",
                                                                            kj::mv(targetAnswer));
  epoch.target = target.getTarget();
  events_.up();
  kj::Promise<void> stopping = kj::Promise<void>(hearStopping(epoch)).eagerlyEvaluate(nullptr);
  kj::Promise<void> keyKnown = kj::READY_NOW;
  if (!config_.getSave() && !config_.getFromSaved())
    keyKnown = kj::Promise<void>(learnHostKey(epoch)).eagerlyEvaluate(nullptr);
  if (!goesOn_) readyAnswer = epoch.agent.waitReadyRequest().send();
  co_await kj::mv(keyKnown);
  auto ready = co_await within(timer, limits_.ready, "waitReady", kj::mv(readyAnswer));
  std::vector<std::string> failed;
  for (auto unit : ready.getFailedUnits())
    if (failed.size() < kFailedUnits) failed.push_back(bounded(unit, kUnitName));
  events_.ready(ready.getDegraded(), std::move(failed));
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

// A machine without it is as good as any, but for ssh.
co::Co<void> AgentSession::learnHostKey(Epoch& epoch) {
  std::string failure;
  try {
    auto key = co_await within<capnp::Response<rpc::Agent::SshHostKeyResults>>(
        eventPort_.getTimer(), limits_.ready, "sshHostKey", epoch.agent.sshHostKeyRequest().send());
    events_.hostKey(bounded(key.getPublicKey(), kHostKey));
  } catch (...) {
    failure = currentError().message();
  }
  if (!failure.empty()) events_.warning("no ssh: " + escapeForTerminal(failure.substr(0, kReason)));
}

// An agent that cannot say so leaves us with what QEMU says, a moment later.
co::Co<void> AgentSession::hearStopping(Epoch& epoch) {
  try {
    co_await epoch.agent.waitStoppingRequest().send();
    events_.stopping();
  } catch (...) {
    co_return;
  }
}

co::Co<void> AgentSession::serveEpoch() {
  std::string why;
  auto begun = eventPort_.getTimer().now();
  {
    Opening opening = std::exchange(stands_, false) ? Opening::kAtOnce : Opening::kWhenWelcome;
    auto stream = co_await openChannel(eventPort_, port_.duplicate(), opening);
    begun = eventPort_.getTimer().now();
    Epoch epoch(kj::mv(stream), whyLost_);
    present_ = &epoch;
    KJ_DEFER(present_ = nullptr);
    auto forgotten = kj::newPromiseAndFulfiller<void>();
    epoch.forgotten = kj::mv(forgotten.fulfiller);
    try {
      auto ended = epoch.connection.onDisconnect().exclusiveJoin(kj::mv(forgotten.promise));
      co_await kj::Promise<void>(configure(epoch)).exclusiveJoin(kj::mv(ended));
      why = whyLost_;
    } catch (...) {
      why = currentError().message();
    }
    if (!epoch.connection.refusal().empty()) why = "left the guest's agent: " + epoch.connection.refusal();
  }
  events_.lost(escapeForTerminal(why.substr(0, kReason)));
  bool lasted = eventPort_.getTimer().now() - begun >= kLasting;
  pause_ = lasted ? kShortPause : kj::min(pause_ * 2, kLongPause);
  co_await eventPort_.getTimer().afterDelay(pause_);
}

kj::Maybe<rpc::Target::Client> AgentSession::target() {
  if (present_ == nullptr) return nullptr;
  return present_->target;
}

kj::Promise<void> AgentSession::standStill() {
  if (present_ == nullptr) return toKj(Error("the guest's agent does not answer"));
  return within(eventPort_.getTimer(), limits_.answer, "standStill",
                present_->agent.standStillRequest().send().ignoreResult());
}

kj::Promise<void> AgentSession::goOn() {
  if (present_ == nullptr) return toKj(Error("the guest's agent does not answer"));
  auto request = present_->agent.goOnRequest();
  fillRandom(request.initSeed(kSeedBytes));
  request.setTimeNs(clockNs());
  return within(eventPort_.getTimer(), limits_.answer, "goOn", request.send().ignoreResult());
}

kj::Promise<void> AgentSession::setClock() {
  if (present_ == nullptr) return kj::READY_NOW;  // its next agent is told
  auto request = present_->agent.setClockRequest();
  request.setTimeNs(clockNs());
  return within(eventPort_.getTimer(), limits_.answer, "setClock", request.send().ignoreResult());
}

kj::Promise<void> AgentSession::powerOff(kj::Duration limit) {
  if (present_ == nullptr) return toKj(Error("the guest's agent does not answer"));
  return within(eventPort_.getTimer(), limit, "powerOff",
                present_->agent.powerOffRequest().send().ignoreResult());
}

void AgentSession::forget() {
  if (present_ != nullptr) present_->forgotten->fulfill();
}

}  // namespace cove
