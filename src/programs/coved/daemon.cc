#include "coved/daemon.h"

#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <kj/async-unix.h>

#include "base/error.h"
#include "base/text.h"
#include "base/version.h"

namespace cove {

namespace {

constexpr uint64_t kSavedLimit = 8ull << 30;  // of all saved machines, on disk
constexpr size_t kLargestPool = 64;
constexpr auto kLockWait = std::chrono::seconds{2};  // for a daemon that is just ending

kj::Duration idleLimit() {
  const char* text = std::getenv("COVE_IDLE_TIMEOUT");
  if (text == nullptr) return 10 * kj::MINUTES;
  auto limit = parseDuration(text);
  if (!limit)
    throw Error(str("cannot understand COVE_IDLE_TIMEOUT=", escapeForTerminal(text)))
        .hint("Say it like 90s, 10m or 2h; 0 means never.");
  return static_cast<int64_t>(*limit) * kj::MILLISECONDS;
}

uint64_t savedLimit() {
  const char* text = std::getenv("COVE_SAVED_LIMIT");
  if (text == nullptr) return kSavedLimit;
  auto limit = parseSize(text);
  if (!limit)
    throw Error(str("cannot understand COVE_SAVED_LIMIT=", escapeForTerminal(text)))
        .hint("Say it like 8G; 0 means that no machine is saved.");
  return *limit;
}

Pool::Limits poolLimits(kj::Duration idle) {
  Pool::Limits limits;
  limits.idle = idle;
  const char* text = std::getenv("COVE_RUN_POOL");
  if (text == nullptr) return limits;
  const char* end = text + std::strlen(text);
  auto [at, problem] = std::from_chars(text, end, limits.size);
  if (problem != std::errc() || at != end || limits.size > kLargestPool)
    throw Error(str("cannot understand COVE_RUN_POOL=", escapeForTerminal(text)))
        .hint(str("Say how many machines are to wait for a run: 0 to ", kLargestPool, "."));
  return limits;
}

}  // namespace

Daemon::Daemon(kj::AsyncIoContext& io, const std::string& home)
    : io_(io),
      state_(openStateDir(home)),
      log_(state_),
      buildId_(buildIdOf("/proc/self/exe")),
      startedAt_(std::time(nullptr)),
      lifetime_(io.provider->getTimer(), idleLimit(), [this] { return use(); }) {}

void Daemon::start() {
  lifeLock_ = Lock::take(state_.fd, kLifeLockName, kLockWait);
  if (!lifeLock_) throw Error(str("another daemon serves ", state_.path));
  database_.emplace(state_);
  journal_.emplace(*database_, log());
  records_.emplace(*database_);
  images_.emplace(io_, state_, *records_, activity_);
  saved_.emplace(io_, state_, *images_, savedLimit(), log());
  instances_.emplace(io_, state_, *records_, *journal_, *images_, *saved_, activity_,
                     poolLimits(lifetime_.idleLimit()), log());
  listener_.emplace(io_, state_, *lifeLock_, log());
  log().info(str("coved ", buildId_, " serves ", state_.path));
}

void Daemon::run() {
  // Clients are let in meanwhile; what they ask about instances waits for it.
  recovered_ = kj::Promise<void>(instances_->recover()).fork();
  auto signals = io_.unixEventPort.onSignal(SIGTERM).exclusiveJoin(io_.unixEventPort.onSignal(SIGINT));
  auto told = signals.then([this](siginfo_t&&) {
    // Clients' creations are undone; what goes on without its client is finished.
    listener_->disconnectAll();
    return activity_.drain();
  });
  listener_->serve(kj::heap<DaemonService>(parts()))
      .exclusiveJoin(lifetime_.wait())
      .exclusiveJoin(kj::mv(told))
      .exclusiveJoin(log_.keepBounded(io_.provider->getTimer()))
      .wait(io_.waitScope);
  log().info("coved ends");
}

DaemonService::Parts Daemon::parts() {
  return {activity_,
          *instances_,
          *images_,
          *saved_,
          recovered_,
          [this](rpc::DaemonInfo::Builder info) { describe(info); },
          [this] { lifetime_.end(); },
          state_.id,
          buildId_};
}

Lifetime::Use Daemon::use() {
  bool busy = listener_->clients() > 0 || !activity_.empty() ||
              instances_->running() > instances_->waiting() || saved_->busy();
  return {busy, listener_->lastChange()};
}

void Daemon::describe(rpc::DaemonInfo::Builder info) {
  info.setStateDirectory(state_.path);
  info.setSocket(listener_->socketPath());
  info.setLog(state_.path + "/" + kDaemonLogName);
  info.setStartedAt(startedAt_);
  info.setIdleTimeoutMs(static_cast<uint64_t>(lifetime_.idleLimit() / kj::MILLISECONDS));
  info.setIdleLeftMs(static_cast<uint64_t>(lifetime_.idleLeft() / kj::MILLISECONDS));
  info.setMachines(static_cast<uint32_t>(instances_->running()));
  info.setWaiting(static_cast<uint32_t>(instances_->waiting()));
  info.setClients(static_cast<uint32_t>(listener_->clients()));
}

}  // namespace cove
