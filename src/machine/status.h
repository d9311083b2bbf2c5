// What is known of the machine, and who waits for it to change.
#pragma once
#include <functional>
#include <kj/async.h>
#include <list>
#include <string>
#include <vector>

#include "rpc/state_name.h"

namespace cove {

struct MachineStatus {
  uint64_t serial = 1;  // grows with every change
  rpc::VmState state = rpc::VmState::STARTING;
  std::string reason;
  bool degraded = false;
  std::vector<std::string> failedUnits;  // escaped
  std::string sshHostKey;
  pid_t qemuPid = 0;
  uint64_t agentEpoch = 0;  // counts agents; for those who wait for a Target

  bool ended() const { return hasEnded(state); }
  void write(rpc::VmStatus::Builder out) const;
};

class StatusBoard {
 public:
  explicit StatusBoard(std::function<void(const MachineStatus&)> onChange) : onChange_(std::move(onChange)) {}
  const MachineStatus& now() const { return status_; }
  // Applies `edit`; if it changed something, the serial grows and all who wait are told.
  void change(const std::function<void(MachineStatus&)>& edit);
  // Resolves when the serial is greater; at once if it is already.
  kj::Promise<void> changedSince(uint64_t serial);

 private:
  MachineStatus status_;
  std::function<void(const MachineStatus&)> onChange_;
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiting_;
};

}  // namespace cove
