// What a first command needs in a machine (fork, exec, the loader, the agent) is slow the first time: its
// emulator has not translated it, its memory is not there.
#pragma once
#include "rpc/co.h"
#include "rpc/target.capnp.h"

namespace cove {

// Runs /bin/true as root, of which nothing remains; whether it ended with 0.
co::Co<bool> runTrue(rpc::Target::Client target);

}  // namespace cove
