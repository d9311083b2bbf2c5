#include "instance/instances.h"

#include <ctime>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/text.h"
#include "base/uuid.h"
#include "machine/disk_layers.h"

namespace cove {

// Deletes an ephemeral instance unless its machine has a lease.
class Instances::Discard {
 public:
  Discard(Instances& instances, InstanceRecord record) : instances_(&instances), record_(std::move(record)) {}
  Discard(const Discard&) = delete;
  ~Discard() noexcept {
    if (instances_ != nullptr)
      instances_->inBackground(instances_->discard(record_), "delete " + record_.name());
  }
  void release() { instances_ = nullptr; }

 private:
  Instances* instances_;
  InstanceRecord record_;
};

Instances::Instances(kj::AsyncIoContext& io, const StateDir& state, Records& records, Journal& journal,
                     Images& images, SavedMachines& saved, Activity& activity, Pool::Limits pool,
                     const Log& log)
    : io_(io),
      state_(state),
      records_(records),
      journal_(journal),
      images_(images),
      saved_(saved),
      activity_(activity),
      log_(log),
      operations_(io.unixEventPort, state, records),
      pool_(
          io.provider->getTimer(), pool, [this](InstanceSpec spec) { return makeWaiting(std::move(spec)); },
          log) {}

void Instances::checkName(const std::string& name) const {
  if (records_.find(name))
    throw Error(str("there is an instance ", name, " already"))
        .hint(str("Choose another name, or delete it:\n  cove delete ", name));
  if (isThere(state_.fd, name))
    throw Error(str("cannot make the instance ", name, ": ", state_.path, "/", name,
                    " exists and belongs to no instance"));
}

std::string Instances::freeName(const image::Os& os) const {
  for (int i = 1;; ++i) {
    std::string name = str(os.distribution, "-", os.version, "-", i);
    bool used = records_.find(name) || !activity_.of(name).empty() || isThere(state_.fd, name);
    if (!used) return name;
  }
}

// It becomes part of a path.
std::string Instances::checkedId(std::string id) const {
  if (id.empty()) return newUuid();
  if (!isUuid(id)) throw Error("not an instance's id: " + escapeForTerminal(id)).status(Exit::kUsage);
  for (const InstanceRecord& record : records_.all())
    if (record.id == id) throw Error("there is an instance with the id " + id + " already");
  return id;
}

co::Co<Instances::Planned> Instances::plan(InstanceSpec spec, std::string id,
                                           image::ProgressCallback progress) {
  Planned planned;
  InstanceRecord& record = planned.record;
  record.id = checkedId(std::move(id));
  image::Os os = image::parseOs(spec.os, spec.variant);
  if (!spec.name.empty()) checkName(spec.name);
  resolveSpec(spec, hostResources(state_));
  if (spec.name.empty()) spec.name = freeName(os);
  spec.os = os.name();
  spec.variant = os.variant;
  planned.entry = std::make_unique<Activity::Entry>(activity_.begin("creating", spec.name));

  image::Image image = co_await images_.ensure(std::move(os), progress);
  planned.pin = std::make_unique<Images::Pin>(images_, image.digest);
  record.spec = std::move(spec);
  record.image = image.digest;
  record.createdAt = std::time(nullptr);
  co_return planned;
}

co::Co<InstanceRecord> Instances::make(Planned planned, std::shared_ptr<LoadedMachine> from) {
  InstanceRecord record = planned.record;
  record.spec.fromSaved = from != nullptr;
  InstanceOperations::WriteDisk writeDisk = [from](const Fd& disk) { from->writeOverlay(disk); };
  if (record.spec.fromSaved)
    co_await journal_.perform(operations_.createFromSaved(record, writeDisk));
  else
    co_await journal_.perform(operations_.create(record));
  co_return record;
}

co::Co<std::string> Instances::create(InstanceSpec spec, std::string id, image::ProgressCallback progress) {
  Planned planned = co_await plan(std::move(spec), std::move(id), std::move(progress));
  InstanceRecord record = co_await make(std::move(planned), nullptr);
  co_return record.name();
}

co::Co<LeasedInstance> Instances::run(InstanceSpec spec, std::string id, bool cold,
                                      image::ProgressCallback progress) {
  spec.ephemeral = true;
  bool anyName = spec.name.empty();
  Planned planned = co_await plan(std::move(spec), std::move(id), progress);
  InstanceSpec like = planned.record.spec;
  std::string kind;
  if (pool_.isWanted() && !cold && anyName) kind = kindOf(planned.record);
  auto running = takeWaiting(kind);
  if (!running) {
    Way way = cold ? Way::kBoot : Way::kEither;
    running = co_await runPlanned(std::move(planned), way, std::move(progress));
  }
  auto record = records_.find(running->name);
  if (!kind.empty() && record && record->spec.fromSaved) pool_.want(kind, std::move(like));
  co_return kj::mv(*running);
}

co::Co<LeasedInstance> Instances::runPlanned(Planned planned, Way way, image::ProgressCallback progress) {
  SavedMachines::Found saved;
  if (way != Way::kBoot) saved = co_await saved_.find(planned.record);
  if (way == Way::kFromSaved && !saved.machine) throw Error("there is no saved machine to begin from");
  InstanceRecord record = co_await make(std::move(planned), saved.machine);
  Discard discarded(*this, record);
  progress("starting " + record.name(), 0, 0);
  auto begun = co_await beginFromSaved(record, std::move(saved), way == Way::kFromSaved, progress);
  KJ_IF_MAYBE (socket, begun) {
    discarded.release();  // from here the lease decides
    co_return LeasedInstance{record.id, record.name(), kj::mv(*socket)};
  }
  if (way == Way::kFromSaved) throw Error("no machine begins from the saved one");
  Beginning booting;
  co_await launch(record, booting);
  if (way == Way::kEither && find(record) != nullptr) booted_.insert(record.id);
  auto socket = co_await introduce(record, true);
  discarded.release();
  co_return LeasedInstance{record.id, record.name(), kj::mv(socket)};
}

// The same for two runs that ask for the same, of an image, QEMU and agent that are the same still. Empty:
// none may wait.
std::string Instances::kindOf(const InstanceRecord& record) const {
  std::string digest = saved_.digestOf(record);
  InstanceSpec spec = record.spec;
  spec.name.clear();
  return digest.empty() ? "" : digest + encodeSpec(spec);
}

std::optional<LeasedInstance> Instances::takeWaiting(const std::string& kind) {
  while (auto waiting = pool_.take(kind)) {
    auto machine = machines_.find(waiting->id);
    if (machine != machines_.end() && !machine->second.link->state().leaving() &&
        activity_.of(waiting->name).empty())
      return waiting;
  }
  return std::nullopt;
}

co::Co<LeasedInstance> Instances::makeWaiting(InstanceSpec spec) {
  image::ProgressCallback unseen = [](const std::string&, uint64_t, uint64_t) {};
  spec.name.clear();
  madeToWait_ = newUuid();
  Planned planned = co_await plan(std::move(spec), madeToWait_, unseen);
  LeasedInstance running = co_await runPlanned(std::move(planned), Way::kFromSaved, unseen);
  co_return kj::mv(running);
}

co::Co<void> Instances::endWaiting() {
  std::vector<std::string> ids = pool_.clear();
  ids.push_back(madeToWait_);  // that may be made just now
  for (const std::string& id : ids) co_await removeById(id);
}

co::Co<void> Instances::start(std::string name, bool cold) {
  co_await settle(name);
  InstanceRecord record = records_.get(name);
  if (find(record) != nullptr) co_return;
  co_await startMachine(std::move(record), cold);
}

co::Co<rpc::Socket::Client> Instances::connect(std::string name) {
  InstanceRecord record = records_.get(name);
  if (find(record) == nullptr) {
    bool failed = record.state == InstanceRecord::State::kFailed;
    if (isSuspended(operations_.openDir(name)))
      throw Error(
          str("the instance ", name, " is suspended", failed ? "; it did not go on: " : "", record.reason))
          .hint(str("Let it go on:\n  cove resume ", name));
    throw Error(str("the instance ", name, " is not running", failed ? "; it failed: " : "", record.reason))
        .hint(str("Start it:\n  cove start ", name));
  }
  if (pool_.holds(record.id))
    throw Error(str("the machine ", name, " waits for a run, which is to find it as new"))
        .hint("Run something:\n  cove run OS");
  auto socket = co_await introduce(std::move(record), false);
  co_return socket;
}

co::Co<void> Instances::stop(std::string name, bool force, uint64_t timeoutMs) {
  InstanceRecord record = records_.get(name);
  if (find(record) == nullptr) co_return;
  // Two may stop it: the second has less patience.
  std::optional<Activity::Entry> entry;
  if (activity_.of(name) != "stopping") entry.emplace(activity_.begin("stopping", name));
  co_await halt(std::move(record), force, timeoutMs);
}

co::Co<void> Instances::remove(std::string name, bool force) {
  std::string id = records_.get(name).id;
  if (!activity_.of(name).empty()) {
    if (force) co_await halt(records_.get(name), true, 0);
    co_await settle(name);
    auto left = records_.find(name);
    if (!left || left->id != id) co_return;  // the other was a deletion
  }
  InstanceRecord record = records_.get(name);
  Machine* machine = find(record);
  if (machine != nullptr && !machine->link->state().ended() && !force)
    throw Error(str("cannot delete ", name, ": it is running"))
        .hint(str("Stop it first, or delete it nevertheless:\n  cove delete --force ", name));
  auto entry = activity_.begin("deleting", name);
  co_await erase(std::move(record));
}

co::Co<void> Instances::removeById(std::string id) {
  for (const InstanceRecord& record : records_.all()) {
    if (record.id != id) continue;
    co_await remove(record.name(), true);
    co_return;
  }
}

co::Co<void> Instances::erase(InstanceRecord record) {
  if (find(record) != nullptr) co_await halt(record, true, 0);
  co_await journal_.perform(operations_.remove(record));
}

// The end of an ephemeral instance, at whatever point it is. Another may have its name by now.
co::Co<void> Instances::discard(InstanceRecord ended) {
  if (!activity_.of(ended.name()).empty()) co_await settle(ended.name());
  auto record = records_.find(ended.name());
  if (!record || record->id != ended.id || !record->spec.ephemeral) co_return;
  auto entry = activity_.begin("deleting", record->name());
  if (find(*record) == nullptr) co_await endStray(*record);
  co_await erase(*record);
}

co::Co<void> Instances::keep(std::string name) {
  InstanceRecord record = records_.get(name);
  if (!record.spec.ephemeral) co_return;
  if (record.spec.fromSaved)
    throw Error(str("cannot keep ", name, ": its disk is that of a saved machine"))
        .hint("Make a machine to keep:\n  cove run --keep OS");
  auto entry = activity_.begin("keeping", name);
  if (Machine* machine = find(record)) co_await machine->link->supervisor().keepRequest().send();
  record.spec.ephemeral = false;
  records_.setSpec(record.id, record.spec);
  if (Machine* machine = find(record)) onStatus(record.id, machine->link->state());
}

co::Co<void> Instances::recover() {
  for (Journal::Interrupted& interrupted : journal_.interrupted())
    co_await journal_.recover(interrupted, operations_.rebuild(interrupted));
  for (InstanceRecord& record : records_.all()) co_await recoverMachine(std::move(record));
}

co::Co<void> Instances::list(rpc::Daemon::ListResults::Builder results) {
  auto asked = kj::heapArrayBuilder<kj::Promise<void>>(machines_.size());
  for (auto& [id, machine] : machines_) asked.add(machine.link->refresh());
  co_await kj::joinPromises(asked.finish());
  auto records = records_.all();
  auto instances = results.initInstances(static_cast<unsigned>(records.size()));
  for (unsigned i = 0; i < records.size(); ++i) describe(records[i], instances[i]);
}

co::Co<void> Instances::describe(std::string name, rpc::InstanceInfo::Builder info) {
  if (Machine* machine = find(records_.get(name))) co_await machine->link->refresh();
  describe(records_.get(name), info);
}

void Instances::describe(const InstanceRecord& record, rpc::InstanceInfo::Builder info) const {
  info.setName(record.name());
  info.setId(record.id);
  info.setCreated(record.state == InstanceRecord::State::kCreated);
  writeSpec(record.spec, info.initSpec());
  info.setDirectory(str(state_.path, "/", record.name()));
  info.setImage(record.image);
  info.setCreatedAt(record.createdAt);
  info.setAccelerator(record.accelerator);
  info.setOperation(activity_.of(record.name()));
  info.setWaiting(pool_.holds(record.id));
  info.setDiskUsed(usedByDisk(state_.fd, record.name()));

  VmState state;
  auto machine = machines_.find(record.id);
  if (machine != machines_.end()) {
    state = machine->second.link->state();
  } else {
    bool failed = record.state == InstanceRecord::State::kFailed;
    state.state = failed ? rpc::VmState::FAILED : rpc::VmState::STOPPED;
    state.reason = record.reason;
  }
  if (state.ended() && isThere(state_.fd, str(record.name(), "/", kSuspendedName)))
    state.state = rpc::VmState::SUSPENDED;
  state.write(info.initVm());
}

void Instances::inBackground(kj::Promise<void> task, std::string what) {
  tasks_.add(task.catch_(
      [this, what](kj::Exception&& e) { log_.error(str("cannot ", what, ": ", fromKj(e).what())); }));
}

}  // namespace cove
