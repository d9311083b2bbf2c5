// Connections from a Target to an address that it sees.
#pragma once
#include <kj/async-unix.h>

#include "target/calls.h"

namespace cove {

kj::Promise<void> connectTo(kj::UnixEventPort& port, ConnectCall context);

}  // namespace cove
