// Tells a client how far its call is, no faster than it takes it.
#pragma once
#include "image/build.h"
#include "rpc/daemon.capnp.h"

namespace cove {

// What is not delivered yet is replaced by what is newer. A client that is gone or sent no receiver is
// ignored.
image::ProgressCallback sendProgress(rpc::Progress::Client client);

}  // namespace cove
