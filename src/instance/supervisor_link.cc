#include "instance/supervisor_link.h"

#include <algorithm>
#include <cerrno>
#include <kj/timer.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "instance/last_event.h"

namespace cove {

namespace {

constexpr const char* kSocketName = "vm.sock";
constexpr const char* kLogName = "ha.stderr.log";
constexpr size_t kReason = 2000, kUnits = 32, kUnitName = 256;
constexpr kj::Duration kRetry = 200 * kj::MILLISECONDS;
constexpr kj::Duration kFresh = 200 * kj::MILLISECONDS;
constexpr int kReapLooks = 1000;
constexpr kj::Duration kReapPause = 5 * kj::MILLISECONDS;

// The supervisor is ours, but what it says comes from a guest.
std::string safe(capnp::Text::Reader text, size_t limit) {
  return escapeForTerminal(std::string_view(text.begin(), std::min(text.size(), limit)));
}

// Connected to our own process and to no other.
Fd connectTo(const Fd& dir, Peer& peer) {
  Fd socket = connectUnix(dir, kSocketName);
  peer = peerOf(socket);
  if (peer.uid != ::geteuid()) throw Error(str("the supervisor's socket belongs to uid ", peer.uid));
  return socket;
}

}  // namespace

VmState VmState::read(rpc::VmStatus::Reader reader) {
  VmState state;
  state.serial = reader.getSerial();
  state.state = reader.getState();
  if (state.state > rpc::VmState::PAUSED) throw Error("the supervisor reports a state that does not exist");
  state.reason = safe(reader.getReason(), kReason);
  state.degraded = reader.getDegraded();
  for (auto unit : reader.getFailedUnits())
    if (state.failedUnits.size() < kUnits) state.failedUnits.push_back(safe(unit, kUnitName));
  state.sshHostKey = safe(reader.getSshHostKey(), kReason);
  state.qemuPid = reader.getQemuPid();
  return state;
}

void VmState::write(rpc::VmStatus::Builder builder) const {
  builder.setSerial(serial);
  builder.setState(state);
  builder.setReason(reason);
  builder.setDegraded(degraded);
  auto units = builder.initFailedUnits(static_cast<unsigned>(failedUnits.size()));
  for (unsigned i = 0; i < failedUnits.size(); ++i) units.set(i, failedUnits[i]);
  builder.setSshHostKey(sshHostKey);
  builder.setQemuPid(qemuPid);
}

std::optional<ProcessId> SupervisorLink::find(const Fd& dir) {
  try {
    Peer peer{};
    Fd socket = connectTo(dir, peer);
    auto startTime = startTimeOf(peer.pid);
    if (!startTime) return std::nullopt;
    return ProcessId{peer.pid, *startTime};
  } catch (const Error&) {
    return std::nullopt;  // nobody listens
  }
}

void SupervisorLink::removeSocket(const Fd& dir) {
  if (::unlinkat(dir.get(), kSocketName, 0) != 0 && errno != ENOENT) throw sysError("remove", kSocketName);
}

std::unique_ptr<SupervisorLink> SupervisorLink::open(kj::AsyncIoContext& io, Fd dir, const ProcessId& id) {
  auto process = openProcess(id);
  if (!process) return nullptr;
  return std::unique_ptr<SupervisorLink>(new SupervisorLink(io, std::move(dir), id, std::move(*process)));
}

void SupervisorLink::connect() {
  Peer peer{};
  Fd socket = connectTo(dir_, peer);
  if (peer.pid != id_.pid) throw Error("another process serves the supervisor's socket");
  connection_ = kj::heap<Connection>(*io_.lowLevelProvider, std::move(socket), Side::kClient);
}

rpc::Supervisor::Client SupervisorLink::supervisor() {
  if (connection_ == nullptr) connect();
  return KJ_ASSERT_NONNULL(connection_)->bootstrap<rpc::Supervisor>();
}

kj::Promise<void> SupervisorLink::refresh() {
  if (state_.ended()) return kj::READY_NOW;
  answered_ = false;
  auto asked = kj::Promise<void>(ask()).exclusiveJoin(io_.provider->getTimer().afterDelay(kFresh));
  return asking_.wrap(kj::mv(asked)).catch_([](kj::Exception&&) {});
}

kj::Promise<bool> SupervisorLink::cameUp() { return asking_.wrap(kj::Promise<bool>(awaitUp())); }

co::Co<bool> SupervisorLink::awaitUp() {
  VmState now = state_;
  while (now.state == rpc::VmState::STARTING) {
    auto request = supervisor().statusRequest();
    request.setAfter(now.serial);
    auto response = co_await request.send();
    now = VmState::read(response.getStatus());
  }
  if (now.serial > state_.serial) state_ = now;
  co_return !now.leaving();
}

co::Co<void> SupervisorLink::ask() {
  auto response = co_await supervisor().statusRequest().send();
  VmState now = VmState::read(response.getStatus());
  if (now.serial > state_.serial) state_ = std::move(now);
  answered_ = true;
}

// Status after status, to the last one. Never resolves: the process's end does.
co::Co<void> SupervisorLink::follow(std::function<void(const VmState&)> onChange) {
  while (!state_.ended()) {
    try {
      auto request = supervisor().statusRequest();
      request.setAfter(state_.serial);
      auto response = co_await request.send();
      state_ = VmState::read(response.getStatus());
      onChange(state_);
      continue;
    } catch (const std::exception&) {
      connection_ = nullptr;  // it ends as a rule; then the other half of watch() sees it
    }
    co_await io_.provider->getTimer().afterDelay(kRetry);
  }
  connection_ = nullptr;  // a supervisor stays a while for those who still listen
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

// The supervisor, and QEMU and the network's process, which die with it but a moment later: until then they
// hold the disk. They are our children where the daemon is their subreaper (coved/main.cc), and init's
// otherwise.
co::Co<void> SupervisorLink::reap() {
  for (int i = 0; i < kReapLooks; ++i) {
    siginfo_t info{};
    if (::waitid(P_PGID, static_cast<id_t>(id_.pid), &info, WEXITED | WNOHANG) != 0)
      co_return;  // none is left
    if (info.si_pid == 0) co_await io_.provider->getTimer().afterDelay(kReapPause);
  }
}

co::Co<VmState> SupervisorLink::watch(std::function<void(const VmState&)> onChange) {
  co_await follow(std::move(onChange)).exclusiveJoin(whenReadable(io_.unixEventPort, process_.get()));
  connection_ = nullptr;
  co_await reap();
  if (!state_.ended()) {
    // It may have ended before it could tell us.
    auto last = lastEvent(dir_);
    state_.state = last ? last->state : rpc::VmState::FAILED;
    state_.reason = last ? last->reason : "its supervisor ended unexpectedly" + lastWords();
  }
  co_return state_;
}

std::string SupervisorLink::lastWords() const {
  constexpr off_t kTail = 400;
  try {
    Fd log = openBeneath(dir_, kLogName, O_RDONLY);
    off_t size = statOf(log).st_size;
    check(::lseek(log.get(), std::max<off_t>(0, size - kTail), SEEK_SET), "read", kLogName);
    std::string text = readAll(log, 1 << 16, kLogName);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    size_t line = text.rfind('\n');
    if (line != std::string::npos) text.erase(0, line + 1);
    return text.empty() ? "" : "; its last words: " + escapeForTerminal(text);
  } catch (const Error&) {
    return "";
  }
}

}  // namespace cove
