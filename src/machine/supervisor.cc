#include "machine/supervisor.h"

#include <csignal>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "machine/in_thread.h"
#include "rpc/warm_up.h"

namespace cove {

namespace {
constexpr auto kOwned =
    kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP | kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC;
constexpr size_t kComplaints = 4096;
constexpr int kWarmUps = 5;
constexpr uint64_t kRoom = 32 << 20;             // a paused machine goes on when the disk has this many bytes
constexpr auto kTargetLimit = 60 * kj::SECONDS;  // for a restarted agent

bool hasRoom(const Fd& dir) {
  struct statvfs info {};
  return ::fstatvfs(dir.get(), &info) == 0 && info.f_bavail * info.f_frsize >= kRoom;
}
}  // namespace

Supervisor::Supervisor(kj::LowLevelAsyncIoProvider& io, kj::UnixEventPort& port, VmSetup setup,
                       SupervisorParts parts, const Log& log, SupervisorLimits limits)
    : io_(io),
      port_(port),
      timer_(port.getTimer()),
      setup_(std::move(setup)),
      parts_(std::move(parts)),
      log_(log),
      limits_(limits),
      events_(setup_.instanceDir),
      status_([this](const MachineStatus& status) { events_.write(status); }),
      ephemeral_(setup_.config.getEphemeral()),
      resuming_(setup_.config.getResume()),
      waits_(setup_.config.getWaits()) {
  auto end = kj::newPromiseAndFulfiller<void>();
  end_ = kj::mv(end.fulfiller);
  whenEnded_ = end.promise.fork();
}

Supervisor::~Supervisor() noexcept(false) {}

kj::Promise<void> Supervisor::run() {
  events_.write(status_.now());
  inBackground(watchLease(), "watching the lease");
  return kj::Promise<void>(runMachine())
      .then([] { return std::string(); }, [](kj::Exception&& e) { return fromKj(e).message(); })
      .then([this](std::string failure) { conclude(failure); });
}

co::Co<void> Supervisor::runMachine() {
  MachineSpec spec = openMachine(setup_, parts_.openAgentProgram());
  setup_.imageDir.reset();  // what is needed of it is open
  bool standing = static_cast<bool>(spec.devices);
  if (!spec.copyOnWrite) memory_ = spec.memory.duplicate();
  auto [consoleOurs, consoleTheirs] = makeSocketPair(SOCK_STREAM);
  auto [agentOurs, agentTheirs] = makeSocketPair(SOCK_STREAM);
  spec.console = std::move(consoleTheirs);
  spec.agent = std::move(agentTheirs);
  Pipe errors = makePipe();
  spec.errors = std::move(errors.write);
  console_ = kj::heap<Console>(io_.wrapSocketFd(consoleOurs.release(), kOwned), setup_.instanceDir);
  inBackground(console_->run(), "reading the console");
  kj::Promise<void> complaining =
      kj::Promise<void>(readComplaints(io_.wrapInputFd(errors.read.release(), kOwned)));

  std::string failure;
  try {
    machine_ = co_await startMachine(std::move(spec));
  } catch (...) {
    failure = currentError().message();
  }
  if (machine_.get() == nullptr) {
    // Its last words are there by now, or will not come.
    co_await kj::mv(complaining).exclusiveJoin(timer_.afterDelay(500 * kj::MILLISECONDS));
    throw Error(complaints_.empty() ? failure : str(failure, ": ", escapeForTerminal(complaints_)));
  }
  inBackground(kj::mv(complaining), "reading QEMU's errors");
  parts_.started();
  log_.info(str("QEMU ", machine_->version(), " runs as process ", machine_->process().pid));
  status_.change([this](MachineStatus& s) { s.qemuPid = machine_->process().pid; });
  if (phase_ == State::STOPPING) machine_->kill();  // stopped before it began
  startSession(std::move(agentOurs));
  if (standing) co_await machine_->resume();
  inBackground(followClock(), "following the host's clock");
  inBackground(watchStart(), "watching the start");
  // A QEMU that cannot be talked to is of no use; one that is ending gets the time to do so.
  inBackground(machine_->onBroken().catch_([this](kj::Exception&& e) {
    return timer_.afterDelay(limits_.quit).then([this, why = fromKj(e).message()] { fail(why); });
  }),
               "controlling QEMU");
  Ended ended = co_await machine_->onEnd();
  if (failure_.empty() && phase_ != State::STOPPING)
    throw Error(str("QEMU ended with ", ended.describe(), complaints_.empty() ? "" : ": ",
                    escapeForTerminal(complaints_)));
}

// And beside it, as it takes a while until it greets, its network, and the memory that it goes on from.
co::Co<kj::Own<Machine>> Supervisor::startMachine(MachineSpec spec) {
  Fd networkEnd;
  if (parts_.startNetwork) std::tie(networkEnd, spec.frames) = makeSocketPair(SOCK_DGRAM);
  auto filled = kj::newPromiseAndFulfiller<void>();
  if (resuming_) spec.filled = kj::mv(filled.promise);
  std::function<void(MachineEvent)> onEvent = [this](MachineEvent e) { onMachine(std::move(e)); };
  auto starting = parts_.startMachine(std::move(spec), onEvent);
  if (parts_.startNetwork) {
    network_ = kj::heap<Child>(parts_.startNetwork(std::move(networkEnd)));
    inBackground(watchNetwork(), "watching the network");
  }
  kj::Promise<void> filling = kj::READY_NOW;
  if (resuming_) {
    std::function<void()> fill = [this] { fillMemory(setup_, memory_); };
    filling = inThread(fill)
                  .then([&] { filled.fulfiller->fulfill(); },
                        [&](kj::Exception&& e) { filled.fulfiller->reject(kj::mv(e)); })
                  .eagerlyEvaluate(nullptr);
  }
  auto machine = co_await starting;
  co_return kj::mv(machine);
}

void Supervisor::startSession(Fd agentPort) {
  AgentSession::Events events;
  events.up = [this] {
    arrive();
    if (phase_ == State::STARTING) setPhase(State::UP);
    status_.change([](MachineStatus& s) { ++s.agentEpoch; });
  };
  events.ready = [this](bool degraded, std::vector<std::string> failed) {
    status_.change([&](MachineStatus& s) {
      s.degraded = degraded || !lack_.empty();
      s.failedUnits = std::move(failed);
    });
    if (phase_ == State::UP) setPhase(State::READY);
    if (setup_.config.getSave()) inBackground(save(), "saving the machine");
    if (std::exchange(waits_, false)) inBackground(warmUp(), "warming up");
  };
  events.hostKey = [this](std::string key) {
    status_.change([&](MachineStatus& s) { s.sshHostKey = std::move(key); });
  };
  events.stopping = [this] {
    guestStops_ = true;
    showState();
  };
  events.warning = [this](std::string what) { log_.warning(what); };
  events.lost = [this](std::string why) { log_.warning(why); };
  agent_ =
      kj::heap<AgentSession>(port_, std::move(agentPort), setup_.config, limits_.agent, std::move(events));
  inBackground(agent_->run(), "talking to the agent");
}

// For a machine that nobody has a command for yet.
co::Co<void> Supervisor::warmUp() {
  for (int i = 0; i < kWarmUps; ++i) {
    kj::Maybe<rpc::Target::Client> present = agent_->target();
    KJ_IF_MAYBE (target, present) co_await runTrue(*target);
  }
}

co::Co<void> Supervisor::followClock() {
  for (;;) {
    co_await parts_.whenClockSet();
    log_.info("the host's clock was set, or the host slept");
    kj::Promise<void> told = agent_->setClock().catch_(
        [this](kj::Exception&& e) { log_.warning("setting the guest's clock: " + fromKj(e).message()); });
    co_await told;
  }
}

void Supervisor::onMachine(MachineEvent event) {
  // Nobody would be told, and it is made again soon enough.
  if (setup_.config.getSave() && event.kind != MachineEvent::Kind::kPoweredOff)
    return fail("the machine that was to be saved restarted, or its disk had an error");
  bool ended = event.kind != MachineEvent::Kind::kDiskFull && event.kind != MachineEvent::Kind::kDiskFailed;
  if (resuming_ && ended && phase_ != State::STOPPING)
    return fail("the machine ended, or restarted, before its agent answered");
  switch (event.kind) {
    case MachineEvent::Kind::kPoweredOff:
      setPhase(State::STOPPING);
      return inBackground(stopMachine(true, 0 * kj::SECONDS), "ending QEMU");
    case MachineEvent::Kind::kRebooting:
    case MachineEvent::Kind::kPanicked:
      if (restarting_) return;  // a QEMU that floods us with events
      restarting_ = true;
      return inBackground(restartGuest(), "restarting the guest");
    case MachineEvent::Kind::kDiskFull:
    case MachineEvent::Kind::kDiskFailed:
      if (!pause_.empty()) return;
      pause_ = event.kind == MachineEvent::Kind::kDiskFull
                   ? "the disk of the host is full; the machine goes on when there is room"
                   : "an error of the host's disk: " + event.detail;
      log_.error(pause_);
      showState();
      return inBackground(waitForRoom(), "waiting for room");
  }
}

// A reboot that the guest asked for, or one by which a panic ends (panic=-1).
co::Co<void> Supervisor::restartGuest() {
  KJ_DEFER(restarting_ = false);
  while (saving_) co_await timer_.afterDelay(limits_.retry);
  // The last words may still lie in the console's socket.
  co_await timer_.afterDelay(100 * kj::MILLISECONDS);
  if (std::string panic = console_->panic(); !panic.empty()) {
    fail("the guest's kernel ended: " + panic);
    co_return;
  }
  // Nothing is there that it could boot; and whoever ran something in it has lost that.
  if (setup_.config.getFromSaved()) setPhase(State::STOPPING);
  if (phase_ == State::STOPPING) {
    co_await machine_->quit();
    co_return;
  }
  log_.info("the guest restarts");
  guestStops_ = false;
  console_->forgetPanic();
  agent_->forget();
  status_.change([this](MachineStatus& s) {
    s.degraded = !lack_.empty();
    s.failedUnits.clear();
  });
  setPhase(State::STARTING);
  co_await machine_->restart();
  inBackground(watchStart(), "watching the start");
}

co::Co<void> Supervisor::waitForRoom() {
  do co_await timer_.afterDelay(limits_.retry);
  while (saving_ || !hasRoom(setup_.instanceDir));
  pause_.clear();
  showState();
  co_await machine_->resume();  // if it is still full, the next write says so
  co_await agent_->setClock();
}

// It cannot be started again: this process can start nothing any more. The machine goes on without.
co::Co<void> Supervisor::watchNetwork() {
  Ended ended = co_await whenEnded(port_, *network_);
  if (ended_) co_return;
  const char* name = setup_.config.getName().cStr();
  lack_ = str("the guest's network ended with ", ended.describe(),
              "; the machine has none until it starts anew: cove restart ", name);
  log_.error(lack_);
  status_.change([](MachineStatus& s) { s.degraded = true; });
  showState();
  co_await reapOrphans();
}

// The inner of the network's two processes: when the outer one is killed it dies too, a moment later, and
// comes to us where this process reaps for its descendants (vm/main.cc).
co::Co<void> Supervisor::reapOrphans() {
  pid_t qemu = machine_.get() == nullptr ? 0 : machine_->process().pid;
  for (int look = 0; look < 50 && !ended_; ++look) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) co_return;
    if (info.si_pid != 0) {
      if (info.si_pid != qemu) ::waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED);
      co_return;
    }
    co_await timer_.afterDelay(20 * kj::MILLISECONDS);
  }
}

co::Co<void> Supervisor::watchStart() {
  uint64_t boot = ++boots_;
  do co_await timer_.afterDelay(limits_.start);
  while (!pause_.empty());
  if (boot == boots_ && phase_ == State::STARTING)
    fail(str("the guest's agent did not answer within ", limits_.start / kj::SECONDS, " s"));
}

co::Co<void> Supervisor::watchLease() {
  co_await timer_.afterDelay(limits_.lease);
  if (ephemeral_ && leases_ == 0 && !ended_) {
    log_.warning("nobody took the lease of this ephemeral machine");
    co_await stopMachine(true, 0 * kj::SECONDS);
  }
}

void Supervisor::leaseLost() {
  if (--leases_ == 0 && ephemeral_)
    inBackground(stopMachine(true, 0 * kj::SECONDS), "ending without a lease");
}

co::Co<void> Supervisor::readComplaints(kj::Own<kj::AsyncInputStream> stream) {
  char buffer[4096];
  for (;;) {
    size_t n = co_await stream->tryRead(buffer, 1, sizeof buffer);
    if (n == 0) break;
    if (complaints_.size() < kComplaints) log_.warning("QEMU: " + std::string(buffer, n));
    complaints_.append(buffer, n);
    if (complaints_.size() > 2 * kComplaints) complaints_.erase(0, complaints_.size() - kComplaints);
  }
}

kj::Promise<rpc::Target::Client> Supervisor::target(bool early) { return awaitTarget(early); }

co::Co<rpc::Target::Client> Supervisor::awaitTarget(bool early) {
  for (;;) {
    if (phase_ == State::FAILED) throw Error("the machine failed: " + failure_);
    if (hasEnded(phase_) || phase_ == State::STOPPING)
      throw Error(suspended_ ? "the machine is suspended" : "the machine is stopping");
    bool there = phase_ == State::READY || (early && phase_ == State::UP);
    kj::Promise<void> changed = status_.changedSince(status_.now().serial);
    if (there) {
      KJ_IF_MAYBE (target, agent_->target()) co_return *target;
      auto late = [] { kj::throwFatalException(toKj(Error("the guest's agent does not answer"))); };
      changed = changed.exclusiveJoin(timer_.afterDelay(kTargetLimit).then(late));
    }
    co_await changed;
  }
}

rpc::ByteSink::Client Supervisor::attachConsole(rpc::ByteSink::Client output) {
  if (console_.get() == nullptr) throw Error("the machine has no console: it did not start");
  return console_->attach(kj::mv(output));
}

kj::Promise<void> Supervisor::stop(bool force, kj::Duration limit) { return stopMachine(force, limit); }

co::Co<void> Supervisor::stopMachine(bool force, kj::Duration limit) {
  if (ended_) co_return;
  if (failure_.empty()) setPhase(State::STOPPING);
  if (limit == 0 * kj::SECONDS) limit = limits_.powerOff;
  if (!force && machine_.get() != nullptr) {
    kj::Promise<void> asked = agent_->powerOff(limits_.agent.answer).catch_([this](kj::Exception&& e) {
      log_.warning("cannot ask the guest's agent to power off: " + fromKj(e).message());
      return machine_->pressPowerButton();
    });
    asked = asked.catch_([](kj::Exception&&) {}).eagerlyEvaluate(nullptr);
    co_await whenEnded_.addBranch().exclusiveJoin(timer_.afterDelay(limit));
    if (ended_) co_return;
    log_.warning("the guest did not power off in time");
  }
  if (machine_.get() != nullptr) {
    kj::Promise<void> quitting = machine_->quit().catch_([](kj::Exception&&) {}).eagerlyEvaluate(nullptr);
    co_await whenEnded_.addBranch().exclusiveJoin(timer_.afterDelay(limits_.quit));
    if (!ended_) machine_->kill();
  }
  co_await whenEnded_.addBranch();
}

void Supervisor::fail(std::string reason) {
  if (ended_ || !failure_.empty()) return;
  failure_ = std::move(reason);
  if (machine_.get() != nullptr) machine_->kill();
}

void Supervisor::conclude(const std::string& end) {
  if (failure_.empty()) failure_ = end;
  ended_ = true;
  pause_.clear();
  if (network_.get() != nullptr) network_->signal(SIGKILL);
  phase_ = failure_.empty() ? State::STOPPED : State::FAILED;
  if (suspended_) {
    // However QEMU ended: nothing was lost with it.
    failure_.clear();
    phase_ = State::SUSPENDED;
  }
  if (failure_.empty())
    log_.info("the machine has stopped");
  else
    log_.error("the machine failed: " + failure_);
  status_.change([this](MachineStatus& s) {
    s.state = phase_;
    s.reason = failure_;
    s.qemuPid = 0;
  });
  end_->fulfill();
}

void Supervisor::setPhase(State phase) {
  if (phase_ == State::STOPPING && phase != State::STOPPING) return;
  phase_ = phase;
  showState();
}

void Supervisor::showState() {
  if (ended_) return;
  State state = guestStops_ || suspending_ ? State::STOPPING : phase_;
  status_.change([this, state](MachineStatus& s) {
    s.state = pause_.empty() ? state : State::PAUSED;
    s.reason = pause_.empty() ? lack_ : pause_;
  });
}

void Supervisor::inBackground(kj::Promise<void> task, const char* what) {
  tasks_.add(task.catch_([this, what](kj::Exception&& e) {
    if (!ended_) log_.warning(str(what, ": ", fromKj(e).message().c_str()));
  }));
}

}  // namespace cove
