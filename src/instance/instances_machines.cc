// The running half of Instances: supervisors started, watched, stopped and adopted.
#include <algorithm>
#include <kj/timer.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/paths.h"
#include "base/text.h"
#include "instance/instances.h"
#include "instance/last_event.h"
#include "instance/launch.h"
#include "instance/memory_key.h"
#include "instance/ssh_config.h"
#include "instance/tools.h"
#include "machine/disk_layers.h"
#include "machine/launch.h"

namespace cove {

namespace {

// Beyond the supervisor's own limits: then it does not do as it is told.
constexpr kj::Duration kStopMargin = 30 * kj::SECONDS;
constexpr kj::Duration kDefaultStop = 90 * kj::SECONDS;
constexpr kj::Duration kEndPause = 5 * kj::SECONDS;  // until the end of an unreachable supervisor is seen
constexpr kj::Duration kQuiet = 5 * kj::SECONDS;     // before something is done in the background
constexpr kj::Duration kSettlePause = 50 * kj::MILLISECONDS;
constexpr int kStrayLooks = 500;
constexpr kj::Duration kStrayPause = 20 * kj::MILLISECONDS;

VmState killedMeanwhile() {
  VmState state;
  state.state = rpc::VmState::FAILED;
  state.reason = "its supervisor was killed while no daemon ran";
  return state;
}

}  // namespace

Instances::Machine* Instances::find(const InstanceRecord& record) {
  auto found = machines_.find(record.id);
  return found == machines_.end() ? nullptr : &found->second;
}

// Nothing: it is to boot.
co::Co<kj::Maybe<rpc::Socket::Client>> Instances::beginFromSaved(InstanceRecord record,
                                                                 SavedMachines::Found found, bool waits,
                                                                 image::ProgressCallback progress) {
  if (found.machine) {
    auto socket = co_await tryToBegin(record, found, waits);
    if (socket != nullptr) co_return kj::mv(socket);
    found.trouble = "no machine begins from the saved one";
    saved_.distrust(found);
    co_await makeDisk(io_.unixEventPort, operations_.openDir(record.name()), kDiskName,
                      record.spec.diskBytes);
  }
  if (!found.trouble.empty()) {
    log_.warning(found.trouble);
    progress("booting, as " + found.trouble, 0, 0);
  }
  co_return nullptr;
}

// Nothing: its machine has failed, and the instance is as it was.
co::Co<kj::Maybe<rpc::Socket::Client>> Instances::tryToBegin(InstanceRecord record,
                                                             SavedMachines::Found found, bool waits) {
  trying_.insert(record.id);
  KJ_DEFER(trying_.erase(record.id));
  std::string problem;
  bool stopped = false;
  try {
    Beginning beginning;
    beginning.from = std::make_shared<SavedMachine>(found.machine->start());
    beginning.waits = waits;
    co_await launch(record, beginning);
    auto socket = co_await introduce(record, true);
    bool up = co_await machines_.at(record.id).link->cameUp();
    if (up) co_return kj::mv(socket);
    stopped = machines_.at(record.id).link->state().state != rpc::VmState::FAILED;
  } catch (...) {
    problem = currentError().message();
  }
  if (!problem.empty()) log_.warning(str("a machine did not begin from the saved one: ", problem));
  if (Machine* machine = find(record)) {
    auto ended = machine->ended.addBranch();
    machine->link->kill();
    co_await kj::mv(ended);
  }
  // By somebody who wanted it: not to be started again.
  if (stopped || !records_.find(record.name()))
    throw Error(str("the machine ", record.name(), " was stopped"));
  record.spec.fromSaved = false;
  records_.setSpec(record.id, record.spec);
  co_return nullptr;
}

co::Co<Beginning> Instances::beginningOf(InstanceRecord record, bool cold) {
  Beginning beginning;
  Fd dir = operations_.openDir(record.name());
  requireWhole(dir);
  if (!isSuspended(dir)) co_return beginning;
  if (!cold) beginning.key = stateKeyOf(suspendedSalt(dir));
  co_await makeEmptyDisk(record);
  std::function<void()> forget = [&] { forgetSuspended(dir); };
  if (cold) co_await runForked(io_.unixEventPort, "forget the state of " + record.name(), forget);
  co_return beginning;
}

// For its supervisor, and once.
co::Co<void> Instances::makeEmptyDisk(InstanceRecord record) {
  Fd dir = operations_.openDir(record.name());
  if (isThere(dir, kEmptyDiskName)) co_return;
  std::string next = str(kEmptyDiskName, ".next");
  co_await makeDisk(io_.unixEventPort, dir.duplicate(), next, record.spec.diskBytes);
  std::function<void()> place = [&] {
    check(::fsync(openBeneath(dir, next, O_RDONLY).get()), "flush", next);
    check(::renameat(dir.get(), next.c_str(), dir.get(), kEmptyDiskName), "make", kEmptyDiskName);
    check(::fsync(dir.get()), "flush", "the directory");
  };
  co_await runForked(io_.unixEventPort, "make an empty disk for " + record.name(), place);
}

co::Co<void> Instances::launch(InstanceRecord record, Beginning beginning) {
  auto entry = activity_.begin("starting", record.name());
  co_await launchNow(std::move(record), kj::mv(beginning));
}

co::Co<void> Instances::startMachine(InstanceRecord record, bool cold) {
  auto entry = activity_.begin("starting", record.name());
  Beginning beginning = co_await beginningOf(record, cold);
  co_await launchNow(std::move(record), kj::mv(beginning));
}

co::Co<void> Instances::launchNow(InstanceRecord record, Beginning beginning) {
  auto image = images_.get(record.image);
  if (!image) throw Error(str("cannot start ", record.name(), ": its image ", record.image, " is missing"));
  Launched launched = co_await launchInstance(io_.unixEventPort, state_.fd, record, *image,
                                              operations_.openDir(record.name()),
                                              images_.openDir(record.image), kj::mv(beginning));
  auto link = SupervisorLink::open(io_, operations_.openDir(record.name()), launched.supervisor);
  if (!link) throw Error(str("cannot start ", record.name(), ": its supervisor ended at once"));
  records_.setRunning(record.id, launched.supervisor, launched.accelerator);
  watch(record, std::move(link));
}

void Instances::watch(const InstanceRecord& record, std::unique_ptr<SupervisorLink> link) {
  auto end = kj::newPromiseAndFulfiller<void>();
  machines_.emplace(record.id, Machine{std::move(link), kj::mv(end.fulfiller), end.promise.fork()});
  inBackground(follow(record.id), "watch " + record.name());
}

// The machine's life, from here to what is recorded of its end.
co::Co<void> Instances::follow(std::string id) {
  // A variable of its own: g++ 12 destroys a lambda's captures twice when it is a temporary of a co_await.
  std::function<void(const VmState&)> onChange = [this, id](const VmState& state) { onStatus(id, state); };
  VmState last = co_await machines_.at(id).link->watch(std::move(onChange));
  auto end = kj::mv(machines_.at(id).end);
  *machines_.at(id).reason = last.reason;
  machines_.erase(id);
  pool_.forget(id);
  // The row may be newer than what we began with: it may be kept by now.
  for (const InstanceRecord& record : records_.all()) {
    if (record.id != id) continue;
    try {
      recordEnd(record, last);
    } catch (const std::exception&) {
      // A full disk, as a rule. What the row says still is put right by the next start, or the next daemon.
      log_.error(str("cannot record the end of ", record.name(), ": ", currentError().what()));
    }
    if (trying_.contains(id)) continue;
    if (record.spec.ephemeral) inBackground(discard(record), "delete " + record.name());
    if (booted_.erase(id) > 0 && last.state == rpc::VmState::STOPPED)
      inBackground(saveLike(record), "save a machine");
  }
  end->fulfill();
}

// Not while the same is run again: the end of that comes back here.
co::Co<void> Instances::saveLike(InstanceRecord record) {
  co_await io_.provider->getTimer().afterDelay(kQuiet);
  if (booted_.empty()) co_await saved_.make(std::move(record));
}

void Instances::recordEnd(const InstanceRecord& record, const VmState& last) {
  bool failed = last.state == rpc::VmState::FAILED;
  if (failed) log_.warning(str("the machine ", record.name(), " failed: ", last.reason));
  SupervisorLink::removeSocket(operations_.openDir(record.name()));
  records_.setEnded(record.id, failed ? InstanceRecord::State::kFailed : InstanceRecord::State::kStopped,
                    last.reason);
}

// The host key is what ssh.config waits for. Where it cannot be written, the next status tries again.
void Instances::onStatus(const std::string& id, const VmState& state) {
  auto machine = machines_.find(id);
  if (machine == machines_.end() || state.sshHostKey == machine->second.sshHostKey) return;
  for (const InstanceRecord& record : records_.all()) {
    if (record.id != id || record.spec.ephemeral) continue;
    SshAccess access{record.name(), str(state_.path, "/", record.name()), record.spec.user.name,
                     state.sshHostKey, programPath("cove")};
    std::string what = "write ssh.config of " + record.name();
    auto write = [this, access] { writeSshConfig(operations_.openDir(access.name), access); };
    auto written = [this, id, key = access.hostKey] {
      if (auto still = machines_.find(id); still != machines_.end()) still->second.sshHostKey = key;
    };
    inBackground(runForked(io_.unixEventPort, what, write).then(kj::mv(written)), what);
  }
}

co::Co<rpc::Socket::Client> Instances::introduce(InstanceRecord record, bool lease) {
  Machine* machine = find(record);
  if (machine == nullptr) throw Error(str("the machine ", record.name(), " has ended"));
  auto ended = machine->ended.addBranch();
  auto reason = machine->reason;
  std::string problem;
  try {
    auto request = machine->link->supervisor().introduceRequest();
    request.setLease(lease);
    auto response = co_await request.send();
    co_return response.getSocket();
  } catch (...) {
    problem = currentError().message();
  }
  // As a rule it has just ended, and that is what there is to say.
  co_await ended.exclusiveJoin(io_.provider->getTimer().afterDelay(kEndPause));
  if (reason->empty()) throw Error(str("cannot reach the machine ", record.name(), ": ", problem));
  throw Error(str("the machine ", record.name(), " failed: ", *reason));
}

co::Co<void> Instances::halt(InstanceRecord record, bool force, uint64_t timeoutMs) {
  Machine* machine = find(record);
  if (machine == nullptr) co_return;
  auto ended = machine->ended.addBranch();
  // Its answer adds nothing to its end, and that it cannot be reached means that it is ending.
  auto asked = kj::evalNow([&]() -> kj::Promise<void> {
                 auto request = machine->link->supervisor().stopRequest();
                 request.setForce(force);
                 request.setTimeoutMs(timeoutMs);
                 return request.send().ignoreResult();
               }).catch_([](kj::Exception&&) {});
  kj::Duration limit =
      (timeoutMs != 0 ? static_cast<int64_t>(timeoutMs) * kj::MILLISECONDS : kDefaultStop) + kStopMargin;
  auto late = io_.provider->getTimer().afterDelay(limit).then([this, record]() -> kj::Promise<void> {
    log_.error(str("the supervisor of ", record.name(), " does not stop its machine: killing it"));
    if (Machine* still = find(record)) still->link->kill();
    return kj::NEVER_DONE;
  });
  co_await ended.exclusiveJoin(kj::mv(late));
}

// Waits until nothing is under way with the instance, and its machine is not just ending: then it runs (a
// guest that rebooted), or it does not, or there is no such instance any more.
co::Co<void> Instances::settle(std::string name) {
  auto& timer = io_.provider->getTimer();
  kj::TimePoint late = timer.now() + kDefaultStop + kStopMargin;
  for (;;) {
    auto record = records_.find(name);
    if (!record) co_return;
    std::string verb = activity_.of(name);
    if (verb.empty()) {
      if (Machine* machine = find(*record)) co_await machine->link->refresh();
      // It may be gone by now; and one that does not answer is about to be.
      Machine* machine = find(*record);
      if (machine == nullptr || (machine->link->answered() && !machine->link->state().leaving())) co_return;
    }
    if (timer.now() > late)
      throw Error(str("cannot go on with ", name, ": ", verb.empty() ? "stopping" : verb,
                      " it does not come to an end"))
          .hint(str("Switch it off:\n  cove stop --force ", name));
    co_await timer.afterDelay(kSettlePause);
  }
}

// A supervisor that was started but not recorded: the daemon, or the call, ended in between.
co::Co<void> Instances::endStray(InstanceRecord record) {
  Fd dir = operations_.openDir(record.name());
  for (int i = 0; i < kStrayLooks && supervisorLives(dir); ++i) {
    if (auto id = SupervisorLink::find(dir))
      if (auto process = openProcess(*id)) sendSignal(*process, SIGKILL);
    co_await io_.provider->getTimer().afterDelay(kStrayPause);
  }
}

bool Instances::adopt(const InstanceRecord& record) {
  Fd dir = operations_.openDir(record.name());
  auto link = SupervisorLink::open(io_, dir.duplicate(), record.supervisor);
  if (!link && supervisorLives(dir)) {
    // Started by a daemon that was killed before it could record it.
    if (auto id = SupervisorLink::find(dir)) {
      link = SupervisorLink::open(io_, dir.duplicate(), *id);
      if (link) records_.setRunning(record.id, *id, record.accelerator);
    }
  }
  if (!link) return false;
  log_.info(str("adopted the running machine ", record.name()));
  watch(record, std::move(link));
  return true;
}

co::Co<void> Instances::recoverMachine(InstanceRecord record) {
  try {
    // Its removal was not on the disk yet when the power failed, but for its files.
    if (record.spec.ephemeral && !isThere(state_.fd, record.name())) {
      co_await journal_.perform(operations_.remove(record));
      co_return;
    }
    if (adopt(record)) co_return;
    bool unfinished = std::ranges::any_of(
        journal_.interrupted(), [&](const Journal::Interrupted& i) { return i.subject == record.name(); });
    if (!unfinished) clearStages(operations_.openDir(record.name()));
    if (record.state == InstanceRecord::State::kRunning)
      recordEnd(record, lastEvent(operations_.openDir(record.name())).value_or(killedMeanwhile()));
    if (record.spec.ephemeral) {
      log_.warning(str("deleting the ephemeral instance ", record.name(), ": its machine has ended"));
      co_await discard(record);
    }
  } catch (const std::exception&) {
    log_.error(str("cannot recover ", record.name(), ": ", currentError().what()));
  }
}

}  // namespace cove
