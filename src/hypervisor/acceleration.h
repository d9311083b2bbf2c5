// Which accelerator works here. That /dev/kvm opens proves nothing: there are hosts where it makes virtual
// processors on which no kernel ever gets past the firmware. So a guest is run.
#pragma once
#include <kj/async-unix.h>
#include <string>

#include "base/fd.h"

namespace cove {

struct Acceleration {
  std::string name;    // "kvm" or "tcg", as MachineSpec wants it
  std::string reason;  // why it is not kvm, for users; empty for kvm
};

// Runs a guest of a few instructions under KVM in QEMU's own containment: firmware, protected mode, long mode
// with paging, a device register; it must be through in a few seconds. The answer is kept in
// `stateDir`/acceleration.json for this kernel, this QEMU binary and this access to /dev/kvm.
// Fails only where QEMU itself cannot be run.
kj::Promise<Acceleration> probeAcceleration(kj::UnixEventPort& port, std::string qemu, const Fd& stateDir);

}  // namespace cove
