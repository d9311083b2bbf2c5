// When the guest is ready, what failed on the way, and when it begins to shut down.
//
// systemd says READY=1 to the socket that NOTIFY_SOCKET names, as to a service manager above it, once its
// first job queue is empty: default.target is reached, or as much of it as could be. That costs nothing,
// where asking systemctl again and again would slow the boot down that it waits for. Of its end it says
// nothing there (before version 255, and then late), so a unit of ours does, which shutdown.target starts. An
// init that is not systemd is ready when it runs, and ends without a word.
#pragma once
#include <kj/async-unix.h>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "rpc/co.h"

namespace cove::agent {

// For the environment of init.
inline constexpr const char* kNotifySocket = "/run/cove/notify";
// Binds it; root's alone. Before init starts, once a boot.
Fd bindNotifySocket();

// Puts the unit that says STOPPING=1 to it where systemd finds it: /run/systemd/system. Before init starts.
void writeStoppingUnit();

// Whether a datagram of sd_notify(3) has this assignment ("READY=1").
bool says(std::string_view datagram, std::string_view assignment);
// The units in the output of `systemctl list-units --plain --no-legend`, at most 100.
std::vector<std::string> parseUnitList(std::string_view text);

class Readiness {
 public:
  // `notify`: the bound socket, shared by all agents of this boot; unset: ready from the start.
  Readiness(kj::UnixEventPort& port, Fd notify);
  // Any number of callers of each.
  kj::Promise<void> whenReady() { return ready_.promise.addBranch(); }
  kj::Promise<void> whenStopping() { return stopping_.promise.addBranch(); }

 private:
  struct Notice {
    Notice();
    kj::Own<kj::PromiseFulfiller<void>> fulfiller;
    kj::ForkedPromise<void> promise = nullptr;
  };
  co::Co<void> listen(kj::UnixEventPort& port);
  bool receive();

  Fd notify_;
  Notice ready_, stopping_;
  kj::Promise<void> listening_ = nullptr;
};

}  // namespace cove::agent
