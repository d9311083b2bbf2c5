// Which accelerator works here. That /dev/kvm opens proves nothing: there are hosts where it makes virtual
// processors on which no kernel ever gets past the firmware. So a guest is run.
#pragma once
#include <kj/async-unix.h>
#include <optional>
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
// The answer that is kept there and still holds; runs nothing.
std::optional<Acceleration> knownAcceleration(const std::string& qemu, const Fd& stateDir);

// Why this user cannot open /dev/kvm, and the command that changes it. nullopt: he can.
struct KvmRefusal {
  std::string reason;
  std::string fix;  // for root, without sudo; may hold $USER
};
std::optional<KvmRefusal> kvmRefusal();

}  // namespace cove
