// Which instance a guest is, and what must be its own: machine-id(5), systemd's random seed, ssh host keys.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace cove::agent {

// In /etc: the id of the instance that the guest was last. A copy finds another's there.
inline constexpr const char* kInstanceFile = "cove-instance";
std::string instanceLine(std::string_view id);

// Of this boot, from the kernel's command line; "" for a machine that is saved for others.
std::string bootedInstance();
// Before init: what another instance was before is made anew.
void becomeInstance(std::string_view id);

// They are made again when sshd first needs them.
void removeSshHostKeys();
// The contents of /etc/machine-id for a machine that had none; nullopt: there is too little entropy yet.
std::optional<std::string> newMachineId();

}  // namespace cove::agent
