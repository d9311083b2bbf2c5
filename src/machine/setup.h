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
  std::optional<SavedMachine> from;  // with config.fromSaved
  Fd memory;                         // with config.save: the machine's, once it is open
};

// Reads and checks a configuration. What it says to begin from is the caller's to add.
VmSetup readSetup(const Fd& config, Fd instanceDir, Fd imageDir);

// What every machine's kernel is told; what its image asks for comes behind it. `saved`: one that is saved,
// or begins from one.
std::string kernelCommandLine(std::string_view accelerator, bool saved);

// Opens all files of the machine and composes its initrd. Sockets are the caller's to add.
MachineSpec openMachine(VmSetup& setup, const Fd& agentProgram);

}  // namespace cove
