#include "agent/server.h"

#include <chrono>
#include <csignal>
#include <kj/async-io.h>
#include <kj/timer.h>
#include <malloc.h>
#include <sys/reboot.h>
#include <unistd.h>
#include <utility>

#include "agent/commands.h"
#include "agent/configuration.h"
#include "agent/connections.h"
#include "agent/console.h"
#include "agent/port.h"
#include "agent/readiness.h"
#include "agent/respawner.h"
#include "agent/root.h"
#include "agent/run.h"
#include "agent/ssh_key.h"
#include "agent/standstill.h"
#include "base/child.h"
#include "base/error.h"
#include "base/text.h"
#include "rpc/agent.capnp.h"
#include "rpc/channel.h"
#include "rpc/co.h"
#include "rpc/connection.h"
#include "target/local.h"

namespace cove::agent {

namespace {

constexpr int kIdleMemory = 4 << 20;  // bytes

class AgentServer final : public rpc::Agent::Server {
 public:
  AgentServer(kj::UnixEventPort& port, Fd notify)
      : port_(port),
        systemd_(static_cast<bool>(notify)),
        readiness_(port, std::move(notify)),
        groups_(port.getTimer()),
        target_(makeLocalTarget(port, {.commandCgroup = [this] { return groups_.make(); },
                                       .mayStart = [this] { return whenGoing(); },
                                       .resetOomScore = true})) {}

  kj::Promise<void> target(TargetContext context) override {
    context.getResults().setTarget(target_);
    return kj::READY_NOW;
  }
  kj::Promise<void> configure(ConfigureContext context) override { return configureGuest(context); }
  kj::Promise<void> waitReady(WaitReadyContext context) override { return reportReady(context); }
  kj::Promise<void> waitStopping(WaitStoppingContext context) override {
    context.allowCancellation();
    return readiness_.whenStopping();
  }
  kj::Promise<void> powerOff(PowerOffContext) override {
    poweringOff_ = systemd_ ? askSystemd() : cutPower();
    return kj::READY_NOW;
  }
  kj::Promise<void> sshHostKey(SshHostKeyContext context) override { return reportHostKey(context); }
  kj::Promise<void> standStill(StandStillContext) override {
    if (!failedUnits_) return toKj(Error("cannot save a machine that is not ready"));
    if (standstill_) return kj::READY_NOW;
    auto going = kj::newPromiseAndFulfiller<void>();
    wentOn_ = going.promise.fork();
    goingOn_ = kj::mv(going.fulfiller);
    standstill_.emplace();
    return kj::READY_NOW;
  }
  kj::Promise<void> goOn(GoOnContext context) override {
    if (!standstill_) return kj::READY_NOW;
    addEntropy(context.getParams().getSeed());
    agent::setClock(context.getParams().getTimeNs());
    letGo();
    return kj::READY_NOW;
  }
  kj::Promise<void> setClock(SetClockContext context) override {
    agent::setClock(context.getParams().getTimeNs());
    return kj::READY_NOW;
  }

 private:
  co::Co<void> configureGuest(ConfigureContext context) {
    auto message = context.getParams().getConfig();
    Configuration configuration = parseConfiguration(message);
    bool renewed = false;
    if (standstill_) {
      addEntropy(message.getSeed());  // before anybody draws a random number
      renewed = standstill_->isAnother(configuration.id);
      if (renewed) standstill_->become(configuration.id);
    }
    agent::setClock(configuration.timeNs);
    if (standstill_)
      standstill_->setHostName(configuration.hostname);
    else
      setHostName(configuration.hostname);
    hostname_ = configuration.hostname;
    asSaved_ = standstill_.has_value();
    co_await makeUserInTime(configuration);
    setAuthorizedKeys(configuration);
    if (!standstill_) co_return;
    letGo();
    // One that was saved for others has no connection, and a journal that knows no machine-id.
    if (!isToBeSaved()) awaking_ = kj::Promise<void>(awake(renewed)).eagerlyEvaluate(nullptr);
  }

  void addEntropy(capnp::Data::Reader seed) {
    standstill_->addEntropy(std::as_bytes(std::span(seed.asChars())));
  }

  kj::Promise<void> whenGoing() {
    if (!standstill_) return kj::READY_NOW;
    return wentOn_.addBranch();
  }

  void letGo() {
    reaping_ = kj::Promise<void>(reap(port_, standstill_->end())).eagerlyEvaluate(nullptr);
    standstill_.reset();
    goingOn_->fulfill();
  }

  co::Co<void> awake(bool renewed) {
    try {
      Child child = Child::fork([] {
        resetOutsideConnections();
        return 0;
      });
      Ended ended = co_await whenEnded(port_, child);
      if (!ended.ok())
        report(Importance::kError, "connections to others were not reset: " + ended.describe());
      // journald's directory has the machine's old name, and sshd the old keys.
      std::vector<std::string> command{"systemctl", "try-restart", "systemd-journald.service", "ssh.service"};
      if (renewed && systemd_) co_await runProgram(port_, std::move(command));
    } catch (...) {
      report(Importance::kError, "going on: " + currentError().message());
    }
  }

  static co::Co<void> reap(kj::UnixEventPort& port, std::optional<Child> child) {
    if (child) co_await whenEnded(port, *child);
  }

  // Another program has the lock of the account files for as long as it edits them.
  co::Co<void> makeUserInTime(const Configuration& configuration) {
    constexpr int kAttempts = 200;
    for (int attempt = 0; !makeUser(configuration); ++attempt) {
      if (attempt == kAttempts)
        throw Error("cannot add the user: another program holds the lock of /etc/passwd");
      co_await port_.getTimer().afterDelay(50 * kj::MILLISECONDS);
    }
  }

  co::Co<void> reportReady(WaitReadyContext context) {
    // Not before the guest is up: the file system's journal, which configure() waits for, is busy with it.
    kj::Promise<void> grown = whenGrown();
    co_await readiness_.whenReady();
    co_await grown;
    // systemd may have read the old /etc/hostname, and set it, after configure() had set the new one.
    if (!hostname_.empty()) check(::sethostname(hostname_.data(), hostname_.size()), "set", "the host name");
    if (!std::exchange(asSaved_, false)) failedUnits_ = co_await listFailedUnits();
    auto results = context.getResults();
    results.setDegraded(!failedUnits_->empty());
    auto units = results.initFailedUnits(static_cast<uint>(failedUnits_->size()));
    for (uint i = 0; i < units.size(); ++i) units.set(i, (*failedUnits_)[i].c_str());
  }

  co::Co<std::vector<std::string>> listFailedUnits() {
    if (!systemd_) co_return {};
    // Named first: g++ 12 refuses a list of initializers in the operand of co_await.
    std::vector<std::string> command{"systemctl",   "list-units", "--state=failed", "--plain",
                                     "--no-legend", "--no-pager", "--full"};
    std::string list = co_await runProgram(port_, std::move(command));
    co_return parseUnitList(list);
  }

  co::Co<void> askSystemd() {
    // systemd(1): SIGRTMIN+4 starts poweroff.target. Said again every second, because a systemd that is just
    // starting does not hear it yet.
    for (;;) {
      check(::kill(1, SIGRTMIN + 4), "ask systemd to", "power off");
      co_await port_.getTimer().afterDelay(1 * kj::SECONDS);
    }
  }

  co::Co<void> cutPower() {
    ::sync();
    check(::reboot(RB_POWER_OFF), "power off", "the machine");
    co_return;
  }

  co::Co<void> reportHostKey(SshHostKeyContext context) {
    std::string key = co_await ensureSshHostKey(port_);
    context.getResults().setPublicKey(key.c_str());
  }

  // Grows it once, beginning with the first call.
  kj::Promise<void> whenGrown() {
    if (!growing_) grown_ = kj::Promise<void>(growRoot(port_)).fork();
    growing_ = true;
    return grown_.addBranch();
  }

  static co::Co<void> growRoot(kj::UnixEventPort& port) {
    Child child = Child::fork([] {
      // It may outlive this agent, and must not keep the port open then.
      ::close_range(3, ~0U, 0);
      auto start = std::chrono::steady_clock::now();
      growFileSystem(openFile("/", O_RDONLY | O_DIRECTORY), kRootDevice);
      auto took =
          std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
      report(Importance::kInfo,
             str("the root file system has the size of its disk, after ", took.count(), " ms"));
      return 0;
    });
    Ended ended = co_await whenEnded(port, child);
    if (!ended.ok()) report(Importance::kError, "growing the root file system: " + ended.describe());
  }

  kj::UnixEventPort& port_;
  bool systemd_;
  std::string hostname_;
  Readiness readiness_;
  std::optional<std::vector<std::string>> failedUnits_;  // known since it was ready
  std::optional<Standstill> standstill_;                 // from standStill() to configure() or goOn()
  // A command that began in between would be in a group that stands still, and we would wait for it.
  kj::ForkedPromise<void> wentOn_ = nullptr;
  kj::Own<kj::PromiseFulfiller<void>> goingOn_;
  bool asSaved_ = false;  // nothing has happened since
  bool growing_ = false;
  kj::ForkedPromise<void> grown_ = nullptr;
  CommandGroups groups_;
  rpc::Target::Client target_;
  kj::Promise<void> poweringOff_ = nullptr, reaping_ = nullptr, awaking_ = nullptr;
};

co::Co<void> serveEpochs(kj::UnixEventPort& port, const Fd& notify) {
  ChannelServer channel(port, openPort());
  rpc::Agent::Client agent = kj::heap<AgentServer>(port, notify ? notify.duplicate() : Fd());
  for (;;) {
    kj::Own<kj::AsyncIoStream> stream = co_await channel.accept();
    Connection connection(kj::mv(stream), Side::kServer, agent);
    co_await connection.onDisconnect();
  }
}

}  // namespace

void serveAgent(const Fd& notify) {
  // Streams take and return messages all the time. Memory that goes back to the kernel in between comes again
  // page by page, zeroed, which costs an emulated processor more than the stream itself.
  ::mallopt(M_TRIM_THRESHOLD, kIdleMemory);
  ::mallopt(M_MMAP_THRESHOLD, kIdleMemory);
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::Promise<void> respawner = keepRespawner(io.unixEventPort, notify ? notify.duplicate() : Fd());
  kj::Promise<void>(serveEpochs(io.unixEventPort, notify)).wait(io.waitScope);
  throw Error("the port to the host ended");
}

}  // namespace cove::agent
