// What the program cove-network does: two processes.
//
// The outer one confines the inner one, gives up what it has, and then only answers the question for the
// host's resolv.conf. The inner one runs the guest's network: in namespaces of its own but for the network's,
// in an empty root, without capabilities, with an allowlist of system calls that has no AF_UNIX, so that it
// reaches no socket of the host's programs (abstract ones live in the network namespace).
#pragma once
#include "base/fd.h"

namespace cove::network {

// Descriptors that cove-network is started with.
inline constexpr int kFramesFd = 3;
inline constexpr int kReadinessFd = 4;  // a pipe: "R" when frames are taken, or "E" and the reason

// Connections and UDP flows that a guest can hold at once, with what the process itself has open.
inline constexpr size_t kMaxDescriptors = 1024;
inline constexpr size_t kMaxMemory = size_t{768} << 20;  // address space: 256 KiB a connection, and libraries

// Returns the exit status.
int runNetworkProcess(Fd frames, Fd readiness);

}  // namespace cove::network
