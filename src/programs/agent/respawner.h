// The process that keeps an agent running, outside the guest's init, and so beyond what init stops, limits or
// restarts.
#pragma once
#include <functional>

namespace cove::agent {

// Forks it. It runs `agent` in a child, again whenever that ends; for one that ends soon after its start it
// waits longer each time, at most 5 s. `arguments` is main's argv: the first character of its first word
// becomes
// '@', by which systemd knows processes that live until the very end of a shutdown
// (systemd.io/ROOT_STORAGE_DAEMONS). The caller is single-threaded.
void startRespawner(char** arguments, const std::function<void()>& agent);

}  // namespace cove::agent
