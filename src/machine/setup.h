// What a supervisor is started with: descriptors 3 to 6 of cove-vm, as vm.capnp says.
#pragma once
#include <capnp/message.h>

#include "base/fd.h"
#include "hypervisor/machine.h"
#include "rpc/vm.capnp.h"

namespace cove {

struct VmSetup {
  kj::Own<capnp::MessageReader> message;
  rpc::VmConfig::Reader config;  // in `message`
  Fd instanceDir;
  Fd imageDir;
};

// Reads and checks a configuration.
VmSetup readSetup(const Fd& config, Fd instanceDir, Fd imageDir);

// Opens all files of the machine and composes its initrd. Sockets are the caller's to add.
MachineSpec openMachine(const VmSetup& setup, const Fd& agentProgram);

}  // namespace cove
