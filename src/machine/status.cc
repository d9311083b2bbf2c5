#include "machine/status.h"

#include <utility>

namespace cove {

namespace {
bool same(const MachineStatus& a, const MachineStatus& b) {
  return a.state == b.state && a.reason == b.reason && a.degraded == b.degraded &&
         a.failedUnits == b.failedUnits && a.sshHostKey == b.sshHostKey && a.qemuPid == b.qemuPid &&
         a.agentEpoch == b.agentEpoch;
}
}  // namespace

void MachineStatus::write(rpc::VmStatus::Builder out) const {
  out.setSerial(serial);
  out.setState(state);
  out.setReason(reason.c_str());
  out.setDegraded(degraded);
  auto units = out.initFailedUnits(static_cast<unsigned>(failedUnits.size()));
  for (unsigned i = 0; i < units.size(); ++i) units.set(i, failedUnits[i].c_str());
  out.setSshHostKey(sshHostKey.c_str());
  out.setQemuPid(qemuPid);
}

void StatusBoard::change(const std::function<void(MachineStatus&)>& edit) {
  MachineStatus next = status_;
  edit(next);
  if (same(next, status_)) return;
  next.serial = status_.serial + 1;
  status_ = std::move(next);
  onChange_(status_);
  for (auto& waiting : std::exchange(waiting_, {})) waiting->fulfill();
}

kj::Promise<void> StatusBoard::changedSince(uint64_t serial) {
  if (status_.serial > serial) return kj::READY_NOW;
  // Those who stopped waiting leave here, so that a client that asks again and again fills nothing.
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> left;
  for (auto& waiting : waiting_)
    if (waiting->isWaiting()) left.add(kj::mv(waiting));
  waiting_ = kj::mv(left);
  auto change = kj::newPromiseAndFulfiller<void>();
  waiting_.add(kj::mv(change.fulfiller));
  return kj::mv(change.promise);
}

}  // namespace cove
