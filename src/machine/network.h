// The guest's network: user mode, in a process of its own, behind a filter (docs/network.md).
#pragma once
#include <string>

#include "base/child.h"

namespace cove {

struct NetworkOptions {
  std::string program;  // the path of cove-network; empty: where cove's programs are
};

// Starts the network process. `frames` is one end of a SOCK_DGRAM pair, one Ethernet frame a datagram; the
// machine has the other. Returns when the process is confined and takes frames; throws the reason otherwise.
//
// The process ends when the Child does, when this thread does, and when a frame cannot be delivered because
// the other end of `frames` is closed (nothing tells a datagram socket sooner, so do not rely on it).
Child startNetwork(Fd frames, const NetworkOptions& options = {});

}  // namespace cove
