// The Target of the machine that this process runs on: what cove-agent serves in a guest, and what cove uses
// for the user's own side of a copy.
//
// Single-threaded. Files are read and written with plain system calls on the event loop, and a command is
// started as vfork(2) does, so a file system that hangs makes the server hang.
#pragma once
#include <functional>
#include <kj/async-unix.h>
#include <optional>

#include "base/fd.h"
#include "rpc/target.capnp.h"

namespace cove {

// A cgroup (v2) of one command, which is started right in it.
struct CommandCgroup {
  Fd directory;
  // Called once, after the command has ended and was reaped. Processes that it left behind may still be in
  // it.
  std::function<void()> release;
};

struct LocalTargetOptions {
  // For each command; nullopt or unset: it stays in the server's cgroup.
  std::function<std::optional<CommandCgroup>()> commandCgroup;
  // Each command waits for it before it is started; unset: none does.
  std::function<kj::Promise<void>()> mayStart;
  // Commands get oom_score_adj 0: for a server whose own protects it from the kernel's out-of-memory killer.
  bool resetOomScore = false;
};

// Runs commands, and changes to their user where the server is root. Commands belong to the Target: they go
// on when connections end, and are ended (SIGKILL) with the last reference to it.
rpc::Target::Client makeLocalTarget(kj::UnixEventPort& port, LocalTargetOptions options = {});

}  // namespace cove
