// The agent itself: rpc/agent.capnp on the host's port, one connection an epoch.
#pragma once
#include "base/fd.h"

namespace cove::agent {

// Serves until the port fails, which is an Error. `notify`: the readiness socket of systemd; unset when init
// is another. The root file system is on kRootDevice.
[[noreturn]] void serveAgent(const Fd& notify);

}  // namespace cove::agent
