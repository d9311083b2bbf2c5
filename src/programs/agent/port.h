// The virtio port to the host.
#pragma once
#include "base/fd.h"

namespace cove::agent {

// Opens the port named org.cove.agent, O_RDWR; waits at most 5 s for its driver. Only one process at a time
// can have it open.
Fd openPort();

}  // namespace cove::agent
