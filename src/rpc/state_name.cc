#include "rpc/state_name.h"

namespace cove {

const char* stateName(rpc::VmState state) {
  switch (state) {
    case rpc::VmState::STARTING:
      return "starting";
    case rpc::VmState::UP:
      return "up";
    case rpc::VmState::READY:
      return "ready";
    case rpc::VmState::STOPPING:
      return "stopping";
    case rpc::VmState::STOPPED:
      return "stopped";
    case rpc::VmState::FAILED:
      return "failed";
    case rpc::VmState::PAUSED:
      return "paused";
    case rpc::VmState::SUSPENDED:
      return "suspended";
  }
  return "unknown";
}

bool hasEnded(rpc::VmState state) {
  return state == rpc::VmState::STOPPED || state == rpc::VmState::FAILED || state == rpc::VmState::SUSPENDED;
}

}  // namespace cove
