// Instances as they stand still: suspended, cloned, and their snapshots.
#include <ctime>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/text.h"
#include "instance/instances.h"
#include "instance/memory_key.h"
#include "instance/tools.h"
#include "machine/disk_layers.h"
#include "rpc/descriptor.h"

namespace cove {

namespace {
void requireLasting(const InstanceRecord& record, const char* verb) {
  if (record.spec.ephemeral)
    throw Error(str("cannot ", verb, " ", record.name(), ": it is deleted when its command ends"));
}

// What stays there of it, the next daemon removes.
void discardStage(const Fd& dir, const std::string& stage) noexcept {
  try {
    removeTree(dir, stage);
  } catch (...) {
    return;
  }
}
}  // namespace

co::Co<void> Instances::suspend(std::string name) {
  InstanceRecord record = records_.get(name);
  requireLasting(record, "suspend");
  if (find(record) == nullptr) {
    if (isSuspended(operations_.openDir(name))) co_return;
    throw Error(str("cannot suspend ", name, ": it is not running"));
  }
  auto entry = activity_.begin("suspending", name);
  co_await suspendMachine(std::move(record));
}

co::Co<void> Instances::suspendMachine(InstanceRecord record) {
  Fd dir = operations_.openDir(record.name());
  co_await makeEmptyDisk(record);
  if (Machine* machine = find(record)) co_await machine->link->refresh();
  Machine* machine = find(record);
  if (machine == nullptr) throw Error(str("cannot suspend ", record.name(), ": its machine has ended"));
  if (isSuspended(dir) && !machine->link->state().leaving())
    throw Error(str("cannot suspend ", record.name(), ": it is resuming"))
        .hint("Wait until it is ready:\n  cove list");
  auto ended = machine->ended.addBranch();
  auto request = machine->link->supervisor().suspendRequest();
  request.setKey(handOver(packKey(newStateKey())));
  std::string problem, hint;
  try {
    co_await request.send();
  } catch (...) {
    Error error = currentError();
    problem = error.message();
    hint = error.hint();
  }
  // Its state is there: whatever became of the answer, the machine ends.
  if (isSuspended(dir)) {
    co_await ended;
    co_return;
  }
  throw Error(str("cannot suspend ", record.name(), ": ", problem)).hint(hint);
}

// Into that directory of the instance's own. A machine that runs goes on.
co::Co<void> Instances::copyTo(InstanceRecord record, std::string stage) {
  Fd dir = operations_.openDir(record.name());
  requireWhole(dir);
  co_await makeEmptyDisk(record);
  Machine* machine = find(record);
  if (machine == nullptr) {
    std::function<void()> copy = [&] { copyState(dir, openBeneath(dir, stage, O_RDONLY | O_DIRECTORY)); };
    co_await runForked(io_.unixEventPort, "copy the state of " + record.name(), copy);
    co_return;
  }
  auto request = machine->link->supervisor().snapshotRequest();
  request.setKey(handOver(packKey(newStateKey())));
  request.setDirectory(stage);
  co_await request.send();
  protectLayers(dir);
}

co::Co<bool> Instances::clone(std::string name, std::string newName, std::string id) {
  InstanceRecord record = records_.get(name);
  requireLasting(record, "clone");
  InstanceRecord made = record;
  made.id = checkedId(std::move(id));
  made.spec.name = newName;
  made.createdAt = std::time(nullptr);
  if (!isValidName(newName))
    throw Error("not a valid name of an instance: " + escapeForTerminal(newName)).status(Exit::kUsage);
  checkName(newName);
  bool suspended = find(record) != nullptr || isSuspended(operations_.openDir(name));
  made.state = suspended ? InstanceRecord::State::kStopped : InstanceRecord::State::kCreated;
  made.reason.clear();
  auto cloning = activity_.begin("cloning", name);
  auto creating = activity_.begin("creating", newName);
  Images::Pin pin(images_, made.image);
  InstanceOperations::Fill fill = [this, record](Fd dir) { return fillClone(record, std::move(dir)); };
  co_await journal_.perform(operations_.create(made, fill));
  co_return suspended;
}

co::Co<void> Instances::fillClone(InstanceRecord record, Fd dir) {
  Fd original = operations_.openDir(record.name());
  std::string stage = makeSnapshotStage(original);
  KJ_DEFER(discardStage(original, stage));
  co_await copyTo(record, stage);
  bool own = find(record) != nullptr;
  std::function<void()> link = [&] {
    linkState(openBeneath(original, stage, O_RDONLY | O_DIRECTORY), dir, own);
  };
  co_await runForked(io_.unixEventPort, "copy the state of " + record.name(), link);
}

co::Co<void> Instances::makeSnapshot(std::string name, std::string snapshot) {
  InstanceRecord record = records_.get(name);
  requireLasting(record, "take a snapshot of");
  if (!isValidName(snapshot))
    throw Error("not a valid name of a snapshot: " + escapeForTerminal(snapshot)).status(Exit::kUsage);
  Fd dir = operations_.openDir(name);
  for (const Snapshot& each : listSnapshots(dir))
    if (each.name == snapshot)
      throw Error(str("there is a snapshot ", snapshot, " of ", name, " already"))
          .hint(str("Choose another name, or delete it:\n  cove snapshot delete ", name, " ", snapshot));
  auto entry = activity_.begin("snapshotting", name);
  std::string stage = makeSnapshotStage(dir);
  KJ_DEFER(discardStage(dir, stage));
  co_await copyTo(record, stage);
  Snapshot made;
  made.name = snapshot;
  made.createdAt = std::time(nullptr);
  made.accelerator = records_.get(name).accelerator;
  placeSnapshot(dir, stage, made);
}

co::Co<void> Instances::applySnapshot(std::string name, std::string snapshot, bool force) {
  InstanceRecord record = records_.get(name);
  Fd dir = operations_.openDir(name);
  Snapshot found = findSnapshot(dir, snapshot);
  requireWhole(dir);
  if (find(record) != nullptr && !force)
    throw Error(str("cannot apply a snapshot to ", name, ": it is running"))
        .hint(str("Stop it first, or let it be switched off:\n  cove snapshot apply --force ", name, " ",
                  snapshot));
  auto entry = activity_.begin("reverting", name);
  co_await halt(record, true, 0);
  std::string stage = makeApplyStage(dir);
  std::string failure;
  try {
    Fd prepared = openBeneath(dir, stage, O_RDONLY | O_DIRECTORY);
    linkState(openSnapshot(dir, snapshot), prepared);
    co_await makeDisk(io_.unixEventPort, prepared.duplicate(), kDiskName, record.spec.diskBytes);
  } catch (...) {
    failure = currentError().message();
  }
  if (!failure.empty()) {
    discardStage(dir, stage);
    throw Error(failure);
  }
  record.accelerator = found.accelerator;
  co_await journal_.perform(operations_.apply(record, stage, found.memory));
}

co::Co<void> Instances::removeSnapshot(std::string name, std::string snapshot) {
  records_.get(name);
  auto entry = activity_.begin("snapshotting", name);
  Fd dir = operations_.openDir(name);
  std::string gone = withdrawSnapshot(dir, snapshot);
  std::function<void()> remove = [&] { removeTree(dir, gone); };
  co_await runForked(io_.unixEventPort, "delete the snapshot " + snapshot, remove);
}

std::vector<Snapshot> Instances::snapshots(const std::string& name) const {
  records_.get(name);
  return listSnapshots(operations_.openDir(name));
}

}  // namespace cove
