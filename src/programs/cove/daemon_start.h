// Starting coved when there is none: exactly one, however many clients ask at once.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/paths.h"

namespace cove {

// What a client of the daemon needs to know about the places, opened once.
struct DaemonPlaces {
  StateDir state = openStateDir();
  RuntimeDir runtime = openRuntimeDir();
  std::string socket = socketName(state);
};

// A connected socket whose listener has our uid, in our runtime directory or in the one that the daemon was
// started with. Waits (30 s) for a daemon that lives but does not listen: it is beginning, or ending.
// nullopt: there is none (ENOENT or ECONNREFUSED and nobody holds life.lock; nothing else means that).
std::optional<Fd> connectDaemon(const DaemonPlaces& places);

// Connects to the daemon that another client started meanwhile, or starts one. `regardless` of earlier failed
// starts. `announce` is called once, before a process is started. Throws with the reason and the log's tail
// when it cannot be started within the time limit.
Fd startDaemon(const DaemonPlaces& places, bool regardless, const std::function<void()>& announce);

// Sends a signal to the process that holds life.lock. Its pidfd; nullopt: none does.
std::optional<Fd> signalDaemon(const DaemonPlaces& places, int signal);

// The last lines of the daemon's log, safe for a terminal, each on a line of its own with an indent.
std::string daemonLogTail(const DaemonPlaces& places);

}  // namespace cove
