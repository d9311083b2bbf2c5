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

// A connected socket whose listener has our uid. nullopt: nobody listens (ENOENT or ECONNREFUSED; nothing
// else means that there is no daemon).
std::optional<Fd> connectDaemon(const DaemonPlaces& places);

// Connects to the daemon that another client started meanwhile, or starts one. `regardless` of earlier failed
// starts. `announce` is called once, before a process is started. Throws with the reason and the log's tail
// when it cannot be started within the time limit.
Fd startDaemon(const DaemonPlaces& places, bool regardless, const std::function<void()>& announce);

// Kills the process that holds life.lock, for a daemon that does not answer: its journal makes that safe. Its
// pidfd; nullopt: none does.
std::optional<Fd> killDaemon(const DaemonPlaces& places);

// The last lines of the daemon's log, safe for a terminal, each on a line of its own with an indent.
std::string daemonLogTail(const DaemonPlaces& places);

}  // namespace cove
