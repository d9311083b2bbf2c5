// The conversation with the guest's agent, again and again: every epoch is a new agent (first boot, a reboot,
// an agent that was killed and came back), which is configured and watched until it is ready or gone.
//
// The agent is the guest's, so an attacker: every call has a time limit, every text is bounded and escaped,
// and what it does can end its own session only.
#pragma once
#include <functional>
#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <string>
#include <vector>

#include "rpc/agent.capnp.h"
#include "rpc/co.h"
#include "rpc/connection.h"
#include "rpc/vm.capnp.h"

namespace cove {

struct AgentLimits {
  kj::Duration answer = 60 * kj::SECONDS;  // of one call; TCG on a loaded host is slow
  kj::Duration ready = 600 * kj::SECONDS;  // of a boot up to its default target
};

class AgentSession {
 public:
  struct Events {
    std::function<void()> up;  // configured, has a Target
    std::function<void(bool degraded, std::vector<std::string> failed)> ready;
    // Before ready(). Empty: it has no ssh server. Not of a machine that began from a saved one, which has no
    // keys until somebody asks for them.
    std::function<void(std::string key)> hostKey;
    std::function<void()> stopping;  // its init shuts down, it says
    std::function<void(std::string what)> warning;
    std::function<void(std::string why)> lost;  // up to now it answered
  };
  // `port`: the stream socket of the port org.cove.agent. `config` outlives this.
  AgentSession(kj::UnixEventPort& eventPort, Fd port, rpc::VmConfig::Reader config, AgentLimits limits,
               Events events);

  // Goes on until dropped.
  kj::Promise<void> run();
  // The Target of the present epoch, if its agent answers.
  kj::Maybe<rpc::Target::Client> target();
  // Everything but the agent stands still, so that it can be saved; fails where no agent answers in time.
  kj::Promise<void> standStill();
  // Ends that again: it is the same machine still.
  kj::Promise<void> goOn();
  // The host's clock was set. A guest that does not answer keeps its own.
  kj::Promise<void> setClock();
  // Asks for an orderly shutdown; fails where no agent answers in time.
  kj::Promise<void> powerOff(kj::Duration limit);
  // The machine is about to end, and that is why its clients lose it.
  void expectEnd(std::string why) { whyLost_ = std::move(why); }
  // The machine was reset: the present agent is gone.
  void forget();

 private:
  struct Epoch;
  co::Co<void> serveEpoch();
  co::Co<void> configure(Epoch& epoch);
  co::Co<void> learnHostKey(Epoch& epoch);
  co::Co<void> hearStopping(Epoch& epoch);

  kj::UnixEventPort& eventPort_;
  Fd port_;
  rpc::VmConfig::Reader config_;
  AgentLimits limits_;
  Events events_;
  std::string whyLost_ = "the guest's agent was restarted, or its machine ended";
  Epoch* present_ = nullptr;
  bool goesOn_;                                 // where it stood when it was saved
  bool stands_;                                 // still, and its agent listens
  kj::Duration pause_ = 25 * kj::MILLISECONDS;  // before the next session, doubled while they are short
};

}  // namespace cove
