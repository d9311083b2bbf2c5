// What instances are while they stand still: suspended, cloned, and their snapshots. Only a clone ends with
// its caller.
#include "coved/progress_sender.h"
#include "coved/service.h"

namespace cove {

kj::Promise<void> DaemonService::suspend(SuspendContext context) { return suspendInstance(context); }
kj::Promise<void> DaemonService::clone(CloneContext context) { return cloneInstance(context); }
kj::Promise<void> DaemonService::snapshotCreate(SnapshotCreateContext context) {
  return createSnapshot(context);
}
kj::Promise<void> DaemonService::snapshotApply(SnapshotApplyContext context) {
  return applySnapshot(context);
}
kj::Promise<void> DaemonService::snapshots(SnapshotsContext context) { return listSnapshots(context); }
kj::Promise<void> DaemonService::snapshotDelete(SnapshotDeleteContext context) {
  return deleteSnapshot(context);
}

co::Co<void> DaemonService::suspendInstance(SuspendContext context) {
  co_await recovered();
  co_await parts_.instances.suspend(context.getParams().getName());
}

co::Co<void> DaemonService::cloneInstance(CloneContext context) {
  auto params = context.getParams();
  std::string name = params.getName(), newName = params.getNewName(), id = params.getId();
  auto progress = sendProgress(params.getProgress());
  context.releaseParams();
  context.allowCancellation();
  co_await recovered();
  progress("cloning " + name, 0, 0);
  bool suspended = co_await parts_.instances.clone(std::move(name), std::move(newName), std::move(id));
  context.getResults().setSuspended(suspended);
}

co::Co<void> DaemonService::createSnapshot(SnapshotCreateContext context) {
  co_await recovered();
  auto params = context.getParams();
  co_await parts_.instances.makeSnapshot(params.getName(), params.getSnapshot());
}

co::Co<void> DaemonService::applySnapshot(SnapshotApplyContext context) {
  co_await recovered();
  auto params = context.getParams();
  co_await parts_.instances.applySnapshot(params.getName(), params.getSnapshot(), params.getForce());
}

co::Co<void> DaemonService::listSnapshots(SnapshotsContext context) {
  co_await recovered();
  std::vector<Snapshot> found = parts_.instances.snapshots(context.getParams().getName());
  auto list = context.getResults().initSnapshots(static_cast<unsigned>(found.size()));
  for (unsigned i = 0; i < found.size(); ++i) {
    list[i].setName(found[i].name);
    list[i].setCreatedAt(found[i].createdAt);
    list[i].setMemory(found[i].memory);
    list[i].setSize(found[i].size);
  }
}

co::Co<void> DaemonService::deleteSnapshot(SnapshotDeleteContext context) {
  co_await recovered();
  auto params = context.getParams();
  co_await parts_.instances.removeSnapshot(params.getName(), params.getSnapshot());
}

}  // namespace cove
