// When the guest is ready, and what failed on the way.
//
// systemd says READY=1 to the socket that NOTIFY_SOCKET names, as to a service manager above it, once its
// first job queue is empty: default.target is reached, or as much of it as could be. That costs nothing,
// where asking systemctl again and again would slow the boot down that it waits for. An init that is not
// systemd is ready when it runs.
#pragma once
#include <kj/async-unix.h>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace cove::agent {

// For the environment of init.
inline constexpr const char* kNotifySocket = "/run/cove/notify";
// Binds it; root's alone. Before init starts, once a boot.
Fd bindNotifySocket();

// Whether a datagram of sd_notify(3) says READY=1.
bool saysReady(std::string_view datagram);
// The units in the output of `systemctl list-units --plain --no-legend`, at most 100.
std::vector<std::string> parseUnitList(std::string_view text);

class Readiness {
 public:
  // `notify`: the bound socket, shared by all agents of this boot; unset: ready from the start.
  Readiness(kj::UnixEventPort& port, Fd notify);
  // Any number of callers.
  kj::Promise<void> whenReady() { return ready_.addBranch(); }

 private:
  Fd notify_;
  kj::ForkedPromise<void> ready_;
};

}  // namespace cove::agent
