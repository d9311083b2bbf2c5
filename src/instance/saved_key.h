// What a saved machine is made of. Whatever differs between two machines before their first user comes is in
// it.
#pragma once
#include <string>

#include "image/store.h"
#include "instance/records.h"

namespace cove {

struct SavedKey {
  std::string madeOf;  // JSON
  std::string digest;  // of that: its name
};

// Of a machine like the record's, as it would be started now: image, kernel and its command line, agent, QEMU
// binary, command line of QEMU (devices, processors, memory), what the host's processors can do under KVM,
// size of the disk, owner. An Error where QEMU or the agent is not there.
SavedKey savedKey(const InstanceRecord& record, const image::Image& image);

// What must be the same on the host where a suspended machine goes on.
std::string resumeKind(const InstanceRecord& record);

}  // namespace cove
