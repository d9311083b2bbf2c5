// The life of instances: made, started, watched, stopped, deleted, and found again by the next daemon.
//
// One change at a time of each instance (Activity). Errors name the instance. Supervisors outlive the daemon:
// what is kept here is a link to each, and the database's row.
#pragma once
#include <kj/async-io.h>
#include <map>
#include <memory>

#include "base/log.h"
#include "instance/activity.h"
#include "instance/images.h"
#include "instance/instance_state.h"
#include "instance/launch.h"
#include "instance/operations.h"
#include "instance/pool.h"
#include "instance/records.h"
#include "instance/saved_machines.h"
#include "instance/supervisor_link.h"
#include "journal/journal.h"

namespace cove {

class Instances {
 public:
  Instances(kj::AsyncIoContext& io, const StateDir& state, Records& records, Journal& journal, Images& images,
            SavedMachines& saved, Activity& activity, Pool::Limits pool, const Log& log);

  // Once, at the daemon's start: finishes or undoes what was interrupted, adopts the machines that run, and
  // deletes ephemeral instances whose machine has ended. Nothing else may be called before it has resolved.
  co::Co<void> recover();

  // Dropping the promise undoes it. Returns the name. `id`: a UUID that no instance has, or empty.
  co::Co<std::string> create(InstanceSpec spec, std::string id, image::ProgressCallback progress);
  // Answered when the supervisor runs; at once if it does already. A machine that is ending is waited for,
  // and started again. What is suspended goes on, unless it is to be `cold`. Not to be dropped.
  co::Co<void> start(std::string name, bool cold);
  // create, start, and a connection with the lease. Dropping the promise, or losing the lease, deletes it.
  // Unless it is to be `cold`, it begins from a saved machine where there is one, and where it has no name of
  // its own it may be one that waited; then its id is another.
  co::Co<LeasedInstance> run(InstanceSpec spec, std::string id, bool cold, image::ProgressCallback progress);
  co::Co<rpc::Socket::Client> connect(std::string name);
  // Answered when the machine has ended; at once if none runs.
  co::Co<void> stop(std::string name, bool force, uint64_t timeoutMs);
  // Refused while it runs, unless `force`. What is under way with it is waited for, but for the patience of
  // another's stop where `force`. Not to be dropped.
  co::Co<void> remove(std::string name, bool force);
  // By force. That there is none is no error.
  co::Co<void> removeById(std::string id);
  co::Co<void> keep(std::string name);

  // Answered when its state is on the disk and its machine has ended; at once if it is suspended. Not to be
  // dropped.
  co::Co<void> suspend(std::string name);
  // A new instance that is what the other is, with its memory where that runs or is suspended (then true is
  // returned). Dropping the promise undoes it.
  co::Co<bool> clone(std::string name, std::string newName, std::string id);
  // Snapshots of an instance. Not to be dropped.
  co::Co<void> makeSnapshot(std::string name, std::string snapshot);
  co::Co<void> applySnapshot(std::string name, std::string snapshot, bool force);
  co::Co<void> removeSnapshot(std::string name, std::string snapshot);
  std::vector<Snapshot> snapshots(const std::string& name) const;

  // As the supervisors say now.
  co::Co<void> list(rpc::Daemon::ListResults::Builder results);
  co::Co<void> describe(std::string name, rpc::InstanceInfo::Builder info);
  size_t running() const { return machines_.size(); }
  size_t waiting() const { return pool_.size(); }  // of those, for a run
  // Nobody may have to wait for them.
  co::Co<void> endWaiting();

 private:
  struct Machine {
    std::unique_ptr<SupervisorLink> link;
    kj::Own<kj::PromiseFulfiller<void>> end;
    kj::ForkedPromise<void> ended;
    std::shared_ptr<std::string> reason = std::make_shared<std::string>();  // of its end, once it has ended
    std::string sshHostKey = "";  // that ssh.config was written with
  };
  class Discard;

  // instances.cc
  std::string freeName(const image::Os& os) const;
  void checkName(const std::string& name) const;
  std::string checkedId(std::string id) const;
  // One that is about to be made: until then nobody else takes its name, or deletes its image.
  struct Planned {
    InstanceRecord record;
    std::unique_ptr<Activity::Entry> entry;
    std::unique_ptr<Images::Pin> pin;
  };
  co::Co<Planned> plan(InstanceSpec spec, std::string id, image::ProgressCallback progress);
  co::Co<InstanceRecord> make(Planned planned, std::shared_ptr<LoadedMachine> from);
  enum class Way { kBoot, kFromSaved, kEither };
  co::Co<LeasedInstance> runPlanned(Planned planned, Way way, image::ProgressCallback progress);
  std::string kindOf(const InstanceRecord& record) const;
  std::optional<LeasedInstance> takeWaiting(const std::string& kind);
  co::Co<LeasedInstance> makeWaiting(InstanceSpec spec);
  co::Co<void> erase(InstanceRecord record);
  co::Co<void> discard(InstanceRecord ended);
  void describe(const InstanceRecord& record, rpc::InstanceInfo::Builder info) const;
  void inBackground(kj::Promise<void> task, std::string what);

  // instances_machines.cc
  co::Co<void> launch(InstanceRecord record, Beginning beginning);
  co::Co<void> launchNow(InstanceRecord record, Beginning beginning);
  co::Co<void> startMachine(InstanceRecord record, bool cold);
  co::Co<kj::Maybe<rpc::Socket::Client>> beginFromSaved(InstanceRecord record, SavedMachines::Found found,
                                                        bool waits, image::ProgressCallback progress);
  co::Co<kj::Maybe<rpc::Socket::Client>> tryToBegin(InstanceRecord record, SavedMachines::Found found,
                                                    bool waits);
  co::Co<rpc::Socket::Client> introduce(InstanceRecord record, bool lease);
  co::Co<void> halt(InstanceRecord record, bool force, uint64_t timeoutMs);
  co::Co<void> settle(std::string name);
  co::Co<void> endStray(InstanceRecord record);
  bool adopt(const InstanceRecord& record);
  void watch(const InstanceRecord& record, std::unique_ptr<SupervisorLink> link);
  co::Co<void> follow(std::string id);
  co::Co<Beginning> beginningOf(InstanceRecord record, bool cold);
  co::Co<void> makeEmptyDisk(InstanceRecord record);
  co::Co<void> saveLike(InstanceRecord record);
  void recordEnd(const InstanceRecord& record, const VmState& last);
  void onStatus(const std::string& id, const VmState& state);
  co::Co<void> recoverMachine(InstanceRecord record);
  Machine* find(const InstanceRecord& record);

  // instances_states.cc
  co::Co<void> suspendMachine(InstanceRecord record);
  co::Co<void> copyTo(InstanceRecord record, std::string stage);
  co::Co<void> fillClone(InstanceRecord record, Fd dir);

  kj::AsyncIoContext& io_;
  const StateDir& state_;
  Records& records_;
  Journal& journal_;
  Images& images_;
  SavedMachines& saved_;
  Activity& activity_;
  const Log& log_;
  InstanceOperations operations_;
  std::map<std::string, Machine> machines_;  // running ones, by id
  std::set<std::string> booted_;             // ids of those whose like is to be saved when they have ended
  std::set<std::string> trying_;             // of those that are started again if their machine ends
  struct Logged : kj::TaskSet::ErrorHandler {
    void taskFailed(kj::Exception&&) override {}  // inBackground() has logged it
  } logged_;
  kj::TaskSet tasks_{logged_};
  std::string madeToWait_;  // the id of the last one
  Pool pool_;               // goes first: what it is making is deleted in the background
};

}  // namespace cove
