// The states of a machine as users and logs have them.
#pragma once
#include "rpc/vm.capnp.h"

namespace cove {

const char* stateName(rpc::VmState state);  // "ready", "starting"…
bool hasEnded(rpc::VmState state);          // nothing runs of it

}  // namespace cove
