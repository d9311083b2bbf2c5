// The guest's own init.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace cove::agent {

struct Init {
  std::string program;  // absolute path in the guest
  bool systemd = false;
};

// Looks for it below the root of this process; none is an Error.
Init findInit();

// Whether the contents of /etc/machine-id mean that the machine has none yet (machine-id(5)).
bool isUnsetMachineId(std::string_view contents);
// Gives the machine an id of its own unless it has one, so that systemd need not do it in its first boot.
void ensureMachineId();
// The contents of /etc/machine-id for a machine that had none; nullopt: there is too little entropy yet.
std::optional<std::string> newMachineId();

// Becomes it, with NOTIFY_SOCKET naming the readiness socket (readiness.h). Returns only by an Error.
[[noreturn]] void becomeInit(const Init& init);

}  // namespace cove::agent
