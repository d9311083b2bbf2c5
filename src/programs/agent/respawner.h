// The processes that keep an agent running, outside the guest's init, and so beyond what init stops, limits
// or restarts: the respawner starts the agent again whenever that ends, and the agent the respawner. Either
// may be killed.
#pragma once
#include <functional>
#include <kj/async-unix.h>

#include "base/fd.h"
#include "rpc/co.h"

namespace cove::agent {

using AgentBody = std::function<void(const Fd& notify)>;

// The word by which this program, executed by an agent, is a respawner for it: resumeRespawner().
inline constexpr const char* kRespawn = "respawn";

// Forks the first respawner. It runs `agent` in a child, again whenever that ends; for one that ends soon
// after its start it waits longer each time, at most 5 s. `arguments` is main's argv: the first character of
// its first word becomes '@', by which systemd knows processes that live until the very end of a shutdown
// (systemd.io/ROOT_STORAGE_DAEMONS). The caller is single-threaded.
void startRespawner(char** arguments, const Fd& notify, const AgentBody& agent);

// Waits for the end of the agent that is this process's parent, then goes on as the first one does. Standard
// input is `notify`, where there is one.
[[noreturn]] void resumeRespawner(char** arguments, const AgentBody& agent);

// In an agent, as long as it runs: starts another respawner whenever there is none.
co::Co<void> keepRespawner(kj::UnixEventPort& port, Fd notify);

}  // namespace cove::agent
