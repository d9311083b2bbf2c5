// What a supervisor is started with: the descriptors of cove-vm, as vm.capnp says.
#pragma once
#include <capnp/message.h>
#include <optional>

#include "base/fd.h"
#include "hypervisor/machine.h"
#include "machine/state_file.h"
#include "rpc/vm.capnp.h"

namespace cove {

// A machine that others begin from, as it stood. Nothing of it can be changed through these.
struct SavedMachine {
  Fd memory;   // sealed
  Fd devices;  // O_RDONLY
  Fd disk;     // qcow2, O_RDONLY: the lowest layer of those that begin from it
};

struct VmSetup {
  kj::Own<capnp::MessageReader> message;
  rpc::VmConfig::Reader config;  // in `message`
  Fd instanceDir;
  Fd imageDir;
  std::optional<SavedMachine> from;  // with config.fromSaved
  std::optional<StateKey> key;       // with config.resume
  Fd devices;                        // then too, to be filled
};

// Reads and checks a configuration. What it says to begin from is the caller's to add.
VmSetup readSetup(const Fd& config, Fd instanceDir, Fd imageDir);

// What every machine's kernel is told; what its image asks for comes behind it, and which instance it is.
// `saved`: one that is saved, or begins from one.
std::string kernelCommandLine(std::string_view accelerator, bool saved);

// Opens all files of the machine, and composes its initrd where it may boot. Sockets are the caller's to add.
MachineSpec openMachine(VmSetup& setup, const Fd& agentProgram);
// Of one that resumes: reads what it goes on from, which takes a while and is needed when the driver has
// greeted. The key is gone then.
void fillMemory(VmSetup& setup, const Fd& memory);

}  // namespace cove
