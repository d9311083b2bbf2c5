#include "hypervisor/qemu.h"

#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "base/contain.h"
#include "base/error.h"
#include "base/text.h"
#include "hypervisor/qemu_command.h"
#include "hypervisor/qmp.h"
#include "rpc/connection.h"

namespace cove {

namespace {
constexpr auto kMoveLimit = 60 * kj::SECONDS;      // some 500 KB; it needs 15 ms
constexpr auto kMergeLimit = 60 * kj::SECONDS;     // what is written in half a second; it needs 5 ms
constexpr unsigned kLaterDiskSets = 1000;          // beyond those of its command line
constexpr auto kGreetingLimit = 20 * kj::SECONDS;  // a loaded host; QEMU needs 40 ms

std::optional<MachineEvent> machineEvent(const QmpMessage& message) {
  using Kind = MachineEvent::Kind;
  nlohmann::json data = nlohmann::json::parse(message.data);
  auto text = [&](const char* key) {
    auto found = data.find(key);
    return found != data.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (message.name == "SHUTDOWN") {
    std::string reason = text("reason");
    if (reason == "guest-reset") return MachineEvent{Kind::kRebooting};
    if (reason == "guest-panic") return MachineEvent{Kind::kPanicked};
    if (reason == "guest-shutdown") return MachineEvent{Kind::kPoweredOff};
    return std::nullopt;  // what we asked for ourselves
  }
  if (message.name == "GUEST_PANICKED") return MachineEvent{Kind::kPanicked};
  if (message.name == "BLOCK_IO_ERROR" && text("action") == "stop") {
    auto full = data.find("nospace");
    bool noSpace = full != data.end() && full->is_boolean() && full->get<bool>();
    return MachineEvent{noSpace ? Kind::kDiskFull : Kind::kDiskFailed, escapeForTerminal(text("reason"))};
  }
  return std::nullopt;
}

class QemuMachine final : public Machine {
 public:
  // `socket`: that of `control`, for descriptors.
  QemuMachine(kj::UnixEventPort& port, Child child, kj::Own<kj::AsyncIoStream> control, Fd socket,
              bool ephemeral, size_t layers, MachineEventHandler onEvent)
      : child_(std::move(child)),
        socket_(std::move(socket)),
        ephemeral_(ephemeral),
        layers_(layers),
        timer_(port.getTimer()),
        process_(child_.id()),
        pidfd_(child_.pidfd().duplicate()),
        ended_(whenEnded(port, child_).fork()),
        qmp_(kj::mv(control), port.getTimer(), [this, handler = std::move(onEvent)](const QmpMessage& m) {
          if (m.name == "RESET") return resetSeen();
          if (m.name == "MIGRATION") return migrationSeen(m);
          if (m.name == "BLOCK_JOB_READY" || m.name == "BLOCK_JOB_COMPLETED") return jobSeen(m);
          if (auto event = machineEvent(m)) handler(std::move(*event));
        }) {}

  co::Co<void> greet() { version_ = co_await qmp_.negotiate(kGreetingLimit); }
  co::Co<void> load() { co_await migrate("migrate-incoming", str("fd:", kQemuDevices)); }
  std::string version() const override { return version_; }
  ProcessId process() const override { return process_; }
  kj::Promise<void> resume() override { return run("cont"); }
  kj::Promise<void> pause() override { return run("stop"); }
  kj::Promise<void> save(Fd devices) override { return saveNow(std::move(devices)); }
  kj::Promise<void> continueOn(Fd disk) override { return stackDisk(std::move(disk)); }
  kj::Promise<std::string> mergeDown(Fd layer) override { return merge(std::move(layer)); }
  kj::Promise<void> pressPowerButton() override { return run("system_powerdown"); }
  kj::Promise<void> quit() override { return run("quit"); }
  void kill() override { sendSignal(pidfd_, SIGKILL); }
  kj::Promise<Ended> onEnd() override { return ended_.addBranch(); }
  kj::Promise<void> onBroken() override { return qmp_.onEnd(); }

  // While -action says reboot=shutdown even our own system_reset would end in a shutdown.
  kj::Promise<void> restart() override { return restartNow(); }

 private:
  co::Co<void> restartNow() {
    co_await qmp_.execute("set-action", R"({"reboot":"reset"})");
    auto reset = kj::newPromiseAndFulfiller<void>();
    reset_ = kj::mv(reset.fulfiller);
    co_await qmp_.execute("system_reset");
    co_await reset.promise;
    co_await qmp_.execute("set-action", R"({"reboot":"shutdown"})");
    co_await qmp_.execute("cont");
  }
  co::Co<void> saveNow(Fd devices) {
    sendWith(socket_, " ", devices);  // QMP skips white space; a command takes the descriptor that came last
    co_await qmp_.execute("getfd", R"({"fdname":"devices"})");
    co_await migrate("migrate", "fd:devices");
  }
  // The memory's file is the memory: with x-ignore-shared only the devices' state passes.
  co::Co<void> migrate(const char* command, std::string uri) {
    co_await qmp_.execute("migrate-set-capabilities",
                          R"({"capabilities":[{"capability":"x-ignore-shared","state":true},)"
                          R"({"capability":"events","state":true}]})");
    auto migrated = kj::newPromiseAndFulfiller<void>();
    migrated_ = kj::mv(migrated.fulfiller);
    co_await qmp_.execute(command, str(R"({"uri":")", uri, R"("})"));
    co_await within(kMoveLimit, "QEMU does not move the machine's state", kj::mv(migrated.promise));
  }
  kj::Promise<void> within(kj::Duration limit, const char* late, kj::Promise<void> promise) {
    auto tooLate = timer_.afterDelay(limit).then([late] { kj::throwFatalException(toKj(Error(late))); });
    return promise.exclusiveJoin(qmp_.onEnd()).exclusiveJoin(kj::mv(tooLate));
  }
  co::Co<void> stackDisk(Fd disk) {
    std::string set = std::to_string(kLaterDiskSets + disks_), node = str("disk", ++disks_);
    sendWith(socket_, " ", disk);
    co_await qmp_.execute("add-fd", str(R"({"fdset-id":)", set, "}"));
    nlohmann::json file = {{"driver", "file"},
                           {"node-name", node + "-file"},
                           {"discard", "unmap"},
                           {"locking", "off"},
                           {"filename", "/dev/fdset/" + set}};
    nlohmann::json overlay = {{"driver", "qcow2"},
                              {"node-name", node},
                              {"file", node + "-file"},
                              {"backing", nullptr},
                              {"discard", "unmap"}};
    for (nlohmann::json* part : {&file, &overlay})
      if (ephemeral_) (*part)["cache"] = {{"no-flush", true}};
    co_await qmp_.execute("blockdev-add", file.dump());
    co_await qmp_.execute("blockdev-add", overlay.dump());
    nlohmann::json step = {{"node", top_}, {"overlay", node}};
    co_await qmp_.execute("blockdev-snapshot", step.dump());
    top_ = node;
  }
  // QEMU's active commit: all of it is below before "ready", and the machine, which stands still, writes no
  // more. "job-complete" then makes the layer the disk.
  co::Co<std::string> merge(Fd layer) {
    std::string below = qemuLayerNode(layers_ - 1), why;
    auto ready = nextOfJob();
    try {
      sendWith(socket_, " ", layer);
      co_await qmp_.execute("add-fd", str(R"({"fdset-id":)", qemuLayerSet(layers_ - 1), "}"));
      nlohmann::json job = {{"job-id", "merge"}, {"device", top_}, {"base-node", below}};
      co_await qmp_.execute("block-commit", job.dump());
    } catch (...) {
      why = currentError().message();
    }
    if (!why.empty()) co_return why;
    co_await kj::mv(ready);
    if (!jobError_.empty()) co_return jobError_;
    auto completed = nextOfJob();
    co_await qmp_.execute("job-complete", R"({"id":"merge"})");
    co_await kj::mv(completed);
    if (!jobError_.empty()) co_return jobError_;
    co_await removeNode(top_);
    co_await removeNode(top_ + "-file");
    top_ = below;
    co_return why;
  }
  // One that stays is open still, and nothing reads it.
  co::Co<void> removeNode(std::string node) {
    nlohmann::json arguments = {{"node-name", node}};
    kj::Promise<void> removed =
        qmp_.execute("blockdev-del", arguments.dump()).ignoreResult().catch_([](kj::Exception&&) {});
    co_await removed;
  }
  kj::Promise<void> nextOfJob() {
    auto next = kj::newPromiseAndFulfiller<void>();
    job_ = kj::mv(next.fulfiller);
    return within(kMergeLimit, "QEMU does not merge the disk", kj::mv(next.promise));
  }
  void jobSeen(const QmpMessage& message) {
    nlohmann::json data = nlohmann::json::parse(message.data);
    auto error = data.find("error");
    bool failed = error != data.end() && error->is_string();
    jobError_ = failed ? escapeForTerminal(error->get<std::string>()) : std::string();
    if (job_.get() != nullptr) job_->fulfill();
  }
  void migrationSeen(const QmpMessage& message) {
    if (migrated_.get() == nullptr) return;
    nlohmann::json data = nlohmann::json::parse(message.data);
    auto status = data.find("status");
    if (status == data.end() || !status->is_string()) return;
    if (*status == "completed") migrated_->fulfill();
    if (*status == "failed" || *status == "cancelled")
      migrated_->reject(toKj(Error("QEMU cannot move the machine's state")));
  }
  void resetSeen() {
    if (reset_.get() != nullptr) reset_->fulfill();
  }
  kj::Promise<void> run(const char* command) { return qmp_.execute(command).ignoreResult(); }

  Child child_;
  Fd socket_;
  bool ephemeral_;
  size_t layers_;
  std::string top_ = kQemuDiskNode;
  unsigned disks_ = 0;
  kj::Timer& timer_;
  ProcessId process_;
  Fd pidfd_;  // outlives the child's, which closes with it
  kj::ForkedPromise<Ended> ended_;
  kj::Own<kj::PromiseFulfiller<void>> reset_, migrated_, job_;
  std::string jobError_;
  Qmp qmp_;
  std::string version_;
};

Child launch(MachineSpec& spec, Fd control) {
  Containment c;
  c.name = "QEMU";
  c.identity = qemuIdentity(spec.accelerator);
  c.binds = qemuBinds(spec.program, spec.accelerator);
  Child::Spec child;
  child.argv = qemuCommand(spec);
  child.env = {"LC_ALL=C"};
  child.stderr = std::move(spec.errors);
  child.fds.emplace_back(kQemuControl, std::move(control));
  child.fds.emplace_back(kQemuConsole, std::move(spec.console));
  child.fds.emplace_back(kQemuAgent, std::move(spec.agent));
  child.fds.emplace_back(kQemuDisk, std::move(spec.disk));
  child.fds.emplace_back(kQemuBacking, std::move(spec.backing));
  if (spec.frames) child.fds.emplace_back(kQemuFrames, std::move(spec.frames));
  c.procfs = ProcFs::kProcesses;  // of its own pid namespace, so of itself: its memory has a name there
  child.fds.emplace_back(kQemuMemory, std::move(spec.memory));
  if (spec.kernel) child.fds.emplace_back(kQemuKernel, std::move(spec.kernel));
  if (spec.initrd) child.fds.emplace_back(kQemuInitrd, std::move(spec.initrd));
  if (spec.devices) child.fds.emplace_back(kQemuDevices, std::move(spec.devices));
  int number = kQemuLayers;
  for (Fd& layer : spec.layers) child.fds.emplace_back(number++, std::move(layer));
  return startContained(std::move(c), std::move(child));
}

co::Co<kj::Own<Machine>> startNow(kj::LowLevelAsyncIoProvider& io, kj::UnixEventPort& port, MachineSpec spec,
                                  MachineEventHandler onEvent) {
  auto [ours, theirs] = makeSocketPair(SOCK_STREAM);
  Fd socket = ours.duplicate();
  auto stream = io.wrapSocketFd(ours.release(), kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP |
                                                    kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
  bool saved = static_cast<bool>(spec.devices), ephemeral = spec.ephemeral;
  size_t layers = spec.layers.size();
  Child child = launch(spec, std::move(theirs));
  auto machine = kj::heap<QemuMachine>(port, std::move(child), kj::mv(stream), std::move(socket), ephemeral,
                                       layers, std::move(onEvent));
  co_await machine->greet();
  if (saved) {
    co_await spec.filled;
    co_await machine->load();
  }
  co_return kj::mv(machine);
}
}  // namespace

std::optional<std::string> findQemu() {
#if defined(__x86_64__)
  const std::string name = "qemu-system-x86_64";
#elif defined(__aarch64__)
  const std::string name = "qemu-system-aarch64";
#endif
  const char* path = std::getenv("PATH");
  std::string places = path != nullptr ? path : "/usr/local/bin:/usr/bin";
  for (size_t at = 0; at <= places.size();) {
    size_t end = std::min(places.find(':', at), places.size());
    std::string candidate = places.substr(at, end - at) + "/" + name;
    at = end + 1;
    if (candidate[0] != '/' || ::access(candidate.c_str(), X_OK) != 0) continue;
    char* real = ::realpath(candidate.c_str(), nullptr);
    if (real == nullptr) continue;
    std::string result = real;
    std::free(real);
    return result;
  }
  if (::access("/usr/libexec/qemu-kvm", X_OK) == 0) return "/usr/libexec/qemu-kvm";  // Red Hat's
  return std::nullopt;
}

std::string qemuVersion(const std::string& program) {
  std::string text = capture({program, "--version"}, 4096);
  constexpr std::string_view kBefore = "version ";
  size_t at = text.find(kBefore);
  if (at == std::string::npos) throw Error("cannot find out the version of " + program);
  at += kBefore.size();
  return text.substr(at, text.find_first_not_of("0123456789.", at) - at);
}

kj::Promise<kj::Own<Machine>> startQemu(kj::LowLevelAsyncIoProvider& io, kj::UnixEventPort& port,
                                        MachineSpec spec, MachineEventHandler onEvent) {
  return startNow(io, port, std::move(spec), std::move(onEvent));
}

}  // namespace cove
