// How coved starts a supervisor and finds it again.
#pragma once
#include <optional>
#include <string>

#include "base/child.h"
#include "machine/setup.h"
#include "rpc/vm.capnp.h"

namespace cove {

struct LaunchOptions {
  std::string program;  // the path of cove-vm
  rpc::VmConfig::Reader config;
  const Fd& instanceDir;
  const Fd& imageDir;
  const SavedMachine* from = nullptr;  // with config.fromSaved; copied
  const StateKey* key = nullptr;       // with config.resume
};

// Starts cove-vm in a session of its own, with its log in the instance's ha.stderr.log. Blocks until it
// listens on vm.sock (tens of milliseconds), or throws what it says it failed with. The process is this
// one's child: whoever launches reaps it (SIGCHLD or the pidfd) for as long as it lives itself.
Child launchSupervisor(const LaunchOptions& options);

// Whether a supervisor of this instance lives, whoever started it: it holds vm.lock.
bool supervisorLives(const Fd& instanceDir);

}  // namespace cove
