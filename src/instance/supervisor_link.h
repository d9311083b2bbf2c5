// The daemon's side of one running cove-vm: its status, and its end. The process may be of an earlier daemon.
#pragma once
#include <csignal>
#include <functional>
#include <kj/async-io.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/child.h"
#include "rpc/co.h"
#include "rpc/connection.h"
#include "rpc/state_name.h"
#include "rpc/vm.capnp.h"

namespace cove {

// What is known of a machine. Texts are bounded and safe for a terminal.
struct VmState {
  uint64_t serial = 0;
  rpc::VmState state = rpc::VmState::STARTING;
  std::string reason;
  bool degraded = false;
  std::vector<std::string> failedUnits;
  std::string sshHostKey;
  int32_t qemuPid = 0;

  bool ended() const { return hasEnded(state); }
  // On its way out, or out with its supervisor still there. A guest that reboots comes back from it.
  bool leaving() const { return state == rpc::VmState::STOPPING || ended(); }
  static VmState read(rpc::VmStatus::Reader reader);
  void write(rpc::VmStatus::Builder builder) const;
};

class SupervisorLink {
 public:
  // The process that serves vm.sock in the instance's directory, where one does.
  static std::optional<ProcessId> find(const Fd& dir);
  // Of a supervisor that has ended, perhaps killed: then it is still there.
  static void removeSocket(const Fd& dir);
  // Null: that very process is gone. `dir` is a descriptor of its own.
  static std::unique_ptr<SupervisorLink> open(kj::AsyncIoContext& io, Fd dir, const ProcessId& id);

  // Calls `onChange` for every new status; resolves when the process is gone, with the last state: STOPPED,
  // or FAILED with its reason, be it that the supervisor vanished.
  co::Co<VmState> watch(std::function<void(const VmState&)> onChange);
  const VmState& state() const { return state_; }
  // Asks now, for those who read state(): watch() hears of a change a moment after others may have. Never
  // fails; a supervisor that does not answer has the state that it had.
  kj::Promise<void> refresh();
  bool answered() const { return answered_; }  // the last refresh()

  // Answered when its machine has left STARTING: whether it is up.
  kj::Promise<bool> cameUp();
  // An Error where it cannot be reached.
  rpc::Supervisor::Client supervisor();
  // For one that does not do as it is told.
  void kill() const { sendSignal(process_, SIGKILL); }

 private:
  SupervisorLink(kj::AsyncIoContext& io, Fd dir, ProcessId id, Fd process)
      : io_(io), dir_(std::move(dir)), id_(id), process_(std::move(process)) {}
  co::Co<void> follow(std::function<void(const VmState&)> onChange);
  co::Co<void> ask();
  co::Co<bool> awaitUp();
  co::Co<void> reap();
  void connect();
  std::string lastWords() const;

  kj::AsyncIoContext& io_;
  Fd dir_;
  ProcessId id_;
  Fd process_;
  kj::Maybe<kj::Own<Connection>> connection_;
  VmState state_;
  bool answered_ = false;
  kj::Canceler asking_;
};

}  // namespace cove
