// rpc::Daemon: one file a noun (service_daemon.cc, service_images.cc, service_instances.cc,
// service_states.cc). Whoever holds this capability is the daemon's own user: the listener lets nobody else
// in. Requests about instances and images wait until what an earlier daemon left is recovered; every text and
// size is checked by what it is given to.
#pragma once
#include <functional>

#include "instance/images.h"
#include "instance/instances.h"
#include "rpc/co.h"
#include "rpc/daemon.capnp.h"

namespace cove {

class DaemonService final : public rpc::Daemon::Server {
 public:
  struct Parts {
    Activity& activity;
    Instances& instances;
    Images& images;
    SavedMachines& saved;
    kj::ForkedPromise<void>& recovered;
    std::function<void(rpc::DaemonInfo::Builder)> describe;  // what is not known here
    std::function<void()> end;
    std::string stateId, buildId;
  };
  explicit DaemonService(Parts parts) : parts_(std::move(parts)) {}

 protected:
  kj::Promise<void> hello(HelloContext context) override;
  kj::Promise<void> state(StateContext context) override;
  kj::Promise<void> shutdown(ShutdownContext context) override;

  kj::Promise<void> create(CreateContext context) override;
  kj::Promise<void> start(StartContext context) override;
  kj::Promise<void> run(RunContext context) override;
  kj::Promise<void> connect(ConnectContext context) override;
  kj::Promise<void> stop(StopContext context) override;
  kj::Promise<void> delete_(DeleteContext context) override;
  kj::Promise<void> list(ListContext context) override;
  kj::Promise<void> info(InfoContext context) override;
  kj::Promise<void> keep(KeepContext context) override;
  kj::Promise<void> suspend(SuspendContext context) override;
  kj::Promise<void> clone(CloneContext context) override;
  kj::Promise<void> snapshotCreate(SnapshotCreateContext context) override;
  kj::Promise<void> snapshotApply(SnapshotApplyContext context) override;
  kj::Promise<void> snapshots(SnapshotsContext context) override;
  kj::Promise<void> snapshotDelete(SnapshotDeleteContext context) override;

  kj::Promise<void> images(ImagesContext context) override;
  kj::Promise<void> imagePull(ImagePullContext context) override;
  kj::Promise<void> imageDelete(ImageDeleteContext context) override;
  kj::Promise<void> prune(PruneContext context) override;

 private:
  co::Co<void> createInstance(CreateContext context);
  co::Co<void> startInstance(StartContext context);
  co::Co<void> runInstance(RunContext context);
  co::Co<void> connectInstance(ConnectContext context);
  co::Co<void> stopInstance(StopContext context);
  co::Co<void> deleteInstance(DeleteContext context);
  co::Co<void> listInstances(ListContext context);
  co::Co<void> describeInstance(InfoContext context);
  co::Co<void> keepInstance(KeepContext context);
  co::Co<void> suspendInstance(SuspendContext context);
  co::Co<void> cloneInstance(CloneContext context);
  co::Co<void> createSnapshot(SnapshotCreateContext context);
  co::Co<void> applySnapshot(SnapshotApplyContext context);
  co::Co<void> listSnapshots(SnapshotsContext context);
  co::Co<void> deleteSnapshot(SnapshotDeleteContext context);
  co::Co<void> listImages(ImagesContext context);
  co::Co<void> pullImage(ImagePullContext context);
  co::Co<void> deleteImage(ImageDeleteContext context);
  co::Co<void> pruneSaved(PruneContext context);

  kj::Promise<void> recovered() { return parts_.recovered.addBranch(); }
  Parts parts_;
};

}  // namespace cove
