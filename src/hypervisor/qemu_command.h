// QEMU's command line. Everything that it opens it gets as a descriptor; nothing on it is secret.
#pragma once
#include <string>
#include <vector>

#include "base/contain.h"
#include "hypervisor/machine.h"

namespace cove {

// Numbers of the descriptors in QEMU.
inline constexpr int kQemuControl = 3, kQemuConsole = 4, kQemuAgent = 5, kQemuFrames = 6, kQemuDisk = 7,
                     kQemuBacking = 8, kQemuMemory = 9, kQemuDevices = 10, kQemuKernel = 11, kQemuInitrd = 12,
                     kQemuLayers = 13;  // and those that follow
inline constexpr const char* kQemuDiskNode = "disk";
// Of layer `index`: its node, and the set of its descriptors.
std::string qemuLayerNode(size_t index);
size_t qemuLayerSet(size_t index);

std::vector<std::string> qemuCommand(const MachineSpec& spec);
// What of the host QEMU must see: itself, its libraries and its firmware. No shell, no other program of
// /usr/bin.
std::vector<Bind> qemuBinds(const std::string& program, const std::string& accelerator);
// Who it is: under KVM, when root starts it, with the group of /dev/kvm.
Identity qemuIdentity(const std::string& accelerator);

}  // namespace cove
