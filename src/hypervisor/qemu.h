// QEMU: finding it, and running a machine with it, contained.
#pragma once
#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <optional>

#include "hypervisor/machine.h"

namespace cove {

// The binary of this architecture: absolute, symlinks resolved; nullopt: none in PATH or where distributions
// put it.
std::optional<std::string> findQemu();
// "7.2.22", from what the binary says about itself.
std::string qemuVersion(const std::string& program);

// Starts QEMU in a containment of its own; answered when it greeted. An Error says why it did not, without
// what it wrote to `spec.errors`. Must not run after hardenSelf().
kj::Promise<kj::Own<Machine>> startQemu(kj::LowLevelAsyncIoProvider& io, kj::UnixEventPort& port,
                                        MachineSpec spec, MachineEventHandler onEvent);

}  // namespace cove
