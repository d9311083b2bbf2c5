// The guest's own init.
#pragma once
#include <string>

namespace cove::agent {

struct Init {
  std::string program;  // absolute path in the guest
  bool systemd = false;
};

// Looks for it below the root of this process; none is an Error.
Init findInit();

// Becomes it, with NOTIFY_SOCKET naming the readiness socket (readiness.h). Returns only by an Error.
[[noreturn]] void becomeInit(const Init& init);

}  // namespace cove::agent
