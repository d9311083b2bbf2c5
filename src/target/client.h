// A command on a Target with the caller's own standard descriptors, as if it ran here.
//
// Descriptors 0, 1 and 2 are shared with other programs: they are never made O_NONBLOCK. They are read and
// written by helper threads, which block all signals, so that a stalled reader stops neither signals,
// timeouts nor the other stream.
#pragma once
#include <kj/async-unix.h>
#include <string>
#include <vector>

#include "rpc/target.capnp.h"

namespace cove {

struct StandardFds {
  int in = 0, out = 1, err = 2;
};

struct CommandOptions {
  std::vector<std::string> argv;         // empty: the login shell
  std::vector<std::string> environment;  // KEY=VALUE
  std::string user;
  std::string workdir;
  uint64_t timeoutMs = 0;
  bool terminal = false;  // a pty there, and raw mode here where `in` is a terminal
  StandardFds fds;
};

// How it ended, as an exit status: the command's own, 128 + its signal, 124 (timed out), 125 (the machine or
// the connection was lost), 126 and 127 (not started). `message` says what a user must be told, else "".
struct CommandEnd {
  int status = 0;
  std::string message;
};

// Call from the thread of the event loop, once at a time in a process: while it runs it takes SIGINT,
// SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGWINCH, and forwards them (a second SIGINT within a second
// ends the wait with 130). With a terminal, TERM and size are the caller's. The terminal's mode is restored
// on every way out, cancellation and signals included. Errors of the call itself are thrown.
kj::Promise<CommandEnd> runCommand(kj::UnixEventPort& port, rpc::Target::Client target,
                                   CommandOptions options);
// Takes a running (or ended, not yet fetched) command over.
kj::Promise<CommandEnd> attachCommand(kj::UnixEventPort& port, rpc::Target::Client target, uint64_t id,
                                      StandardFds fds = {});

}  // namespace cove
