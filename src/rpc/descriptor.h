// Descriptors as capabilities, for those who are on the same host.
#pragma once
#include <kj/async.h>

#include "base/fd.h"
#include "rpc/vm.capnp.h"

namespace cove {

// Carries it and does nothing else.
rpc::Socket::Client handOver(Fd fd);
// A descriptor of one's own; an Error where none came along.
kj::Promise<Fd> takeOver(rpc::Socket::Client socket);

}  // namespace cove
