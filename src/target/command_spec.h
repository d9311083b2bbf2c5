// From a request to what spawn() needs: checked, with the user, environment and directory of a login.
#pragma once
#include "rpc/target.capnp.h"
#include "target/spawn.h"

namespace cove {

// Everything but descriptors and cgroup. Errors name what the client asked for wrongly.
SpawnOptions specify(rpc::Command::Reader request);

}  // namespace cove
