// One machine from its start to its end: QEMU, the console, the agent, and the states that they make
// (docs/architecture.md, states). vm_server.h serves it.
#pragma once
#include <functional>
#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <string>

#include "base/log.h"
#include "hypervisor/machine.h"
#include "machine/agent_session.h"
#include "machine/console.h"
#include "machine/event_log.h"
#include "machine/setup.h"
#include "machine/status.h"

namespace cove {

struct SupervisorLimits {
  kj::Duration start = 300 * kj::SECONDS;    // until the agent answers; TCG on a loaded host is slow
  kj::Duration lease = 30 * kj::SECONDS;     // until somebody takes an ephemeral machine's lease
  kj::Duration powerOff = 90 * kj::SECONDS;  // of an orderly stop, when the caller sets none
  kj::Duration quit = 3 * kj::SECONDS;       // QEMU's, before it is killed
  kj::Duration retry = 3 * kj::SECONDS;      // between two looks at a full disk
  kj::Duration settle = 6 * kj::SECONDS;     // of a machine that is ready, before it is saved
  AgentLimits agent;
};

// How the parts around the machine come to be; tests have their own.
struct SupervisorParts {
  std::function<kj::Promise<kj::Own<Machine>>(MachineSpec, MachineEventHandler)> startMachine;
  std::function<Child(Fd frames)> startNetwork;  // none: no network card
  std::function<Fd()> openAgentProgram;
  std::function<void()> started;                    // once, when nothing else will be started
  std::function<kj::Promise<void>()> whenClockSet;  // the next time that the host's clock jumps
};

class Supervisor {
 public:
  Supervisor(kj::LowLevelAsyncIoProvider& io, kj::UnixEventPort& port, VmSetup setup, SupervisorParts parts,
             const Log& log, SupervisorLimits limits = {});
  ~Supervisor() noexcept(false);

  // Starts the machine; answered when it has ended, well or not (status()). Never fails.
  kj::Promise<void> run();

  StatusBoard& status() { return status_; }
  // The guest's, as soon as it is ready (`early`: up); an Error once it cannot become so.
  kj::Promise<rpc::Target::Client> target(bool early);
  rpc::ByteSink::Client attachConsole(rpc::ByteSink::Client output);
  // Answered when the machine has ended. `limit` 0: the default.
  kj::Promise<void> stop(bool force, kj::Duration limit);

  // Answered when it has ended, and its state is kept. An Error: it goes on.
  kj::Promise<void> suspend(StateKey key);
  // Answered when its state and its disk are in `directory` too; it goes on in any case.
  kj::Promise<void> snapshot(StateKey key, std::string directory);

  // The holder of an ephemeral machine's lease came, and went.
  void leaseTaken() { ++leases_; }
  void leaseLost();
  void keep() { ephemeral_ = false; }

 private:
  using State = rpc::VmState;
  co::Co<void> runMachine();
  co::Co<kj::Own<Machine>> startMachine(MachineSpec spec);
  co::Co<rpc::Target::Client> awaitTarget(bool early);
  co::Co<void> stopMachine(bool force, kj::Duration limit);
  co::Co<void> save();
  co::Co<void> saveInOrder();
  void requireSavable() const;
  co::Co<void> suspendNow(StateKey key);
  co::Co<void> suspendInOrder(StateKey key);
  co::Co<void> snapshotNow(StateKey key, std::string directory);
  co::Co<void> snapshotInOrder(StateKey key, std::string directory);
  co::Co<void> saveState(StateKey key, std::string path);
  co::Co<void> goOn();
  void arrive();
  co::Co<void> mergeDisk();
  co::Co<void> warmUp();
  co::Co<void> followClock();
  co::Co<void> watchStart();
  co::Co<void> watchNetwork();
  co::Co<void> reapOrphans();
  co::Co<void> watchLease();
  co::Co<void> restartGuest();
  co::Co<void> waitForRoom();
  co::Co<void> readComplaints(kj::Own<kj::AsyncInputStream> stream);
  void startSession(Fd agentPort);
  void onMachine(MachineEvent event);
  void fail(std::string reason);
  void conclude(const std::string& end);
  void setPhase(State phase);
  void showState();
  void inBackground(kj::Promise<void> task, const char* what);

  kj::LowLevelAsyncIoProvider& io_;
  kj::UnixEventPort& port_;
  kj::Timer& timer_;
  VmSetup setup_;
  SupervisorParts parts_;
  const Log& log_;
  SupervisorLimits limits_;
  EventLog events_;
  StatusBoard status_;

  State phase_ = State::STARTING;  // as if there were no pause
  std::string pause_;              // why it is paused, "" when it is not
  bool guestStops_ = false;        // so its agent says: shown, and nothing else
  std::string lack_;               // what it goes on without, "" for nothing
  std::string failure_;
  std::string complaints_;  // the tail of QEMU's stderr
  bool ephemeral_;
  unsigned leases_ = 0;
  bool ended_ = false;
  bool resuming_;  // and may go back to its state
  bool waits_;     // and is to be warm for who comes
  bool restarting_ = false;
  bool saving_ = false;  // stands still, or is about to: it is not to go on by itself
  bool suspending_ = false;
  bool suspended_ = false;  // its state is kept
  Fd memory_;               // the machine's, where it can be saved
  uint64_t boots_ = 0;

  kj::Own<Child> network_;
  kj::Own<Console> console_;
  kj::Own<AgentSession> agent_;
  kj::Own<Machine> machine_;
  kj::Own<kj::PromiseFulfiller<void>> end_;
  kj::ForkedPromise<void> whenEnded_ = nullptr;
  kj::ForkedPromise<void> merged_ = kj::Promise<void>(kj::READY_NOW).fork();
  struct Failed : kj::TaskSet::ErrorHandler {
    void taskFailed(kj::Exception&&) override {}  // inBackground() has logged it
  } failed_;
  kj::TaskSet tasks_{failed_};
};

}  // namespace cove
