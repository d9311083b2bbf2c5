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
  // For save(): the socket of `control`, and MachineSpec::saveTo.
  QemuMachine(kj::UnixEventPort& port, Child child, kj::Own<kj::AsyncIoStream> control, Fd socket, Fd saveTo,
              MachineEventHandler onEvent)
      : child_(std::move(child)),
        socket_(std::move(socket)),
        saveTo_(std::move(saveTo)),
        process_(child_.id()),
        pidfd_(child_.pidfd().duplicate()),
        ended_(whenEnded(port, child_).fork()),
        qmp_(kj::mv(control), port.getTimer(), [this, handler = std::move(onEvent)](const QmpMessage& m) {
          if (m.name == "RESET") return resetSeen();
          if (m.name == "MIGRATION") return migrationSeen(m);
          if (auto event = machineEvent(m)) handler(std::move(*event));
        }) {}

  co::Co<void> greet() { version_ = co_await qmp_.negotiate(kGreetingLimit); }
  co::Co<void> load() { co_await migrate("migrate-incoming", str("fd:", kQemuDevices)); }
  std::string version() const override { return version_; }
  ProcessId process() const override { return process_; }
  kj::Promise<void> resume() override { return run("cont"); }
  kj::Promise<void> save() override { return saveNow(); }
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
  co::Co<void> saveNow() {
    co_await qmp_.execute("stop");
    sendWith(socket_, " ", saveTo_);  // QMP skips white space; getfd takes the descriptor that came last
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
    co_await migrated.promise.exclusiveJoin(qmp_.onEnd());
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
  Fd socket_, saveTo_;
  ProcessId process_;
  Fd pidfd_;  // outlives the child's, which closes with it
  kj::ForkedPromise<Ended> ended_;
  kj::Own<kj::PromiseFulfiller<void>> reset_, migrated_;
  Qmp qmp_;
  std::string version_;
};

Child launch(MachineSpec& spec, Fd control) {
  Containment c;
  c.name = "QEMU";
  c.identity = qemuIdentity(spec.accelerator);
  c.binds = qemuBinds(spec.program, spec.accelerator);
  c.rootBytes = static_cast<uint64_t>(statOf(spec.kernel, "the kernel").st_size +
                                      statOf(spec.initrd, "the initrd").st_size) +
                (4 << 20);
  Child::Spec child;
  child.argv = qemuCommand(spec);
  c.files.push_back({kQemuKernel, std::move(spec.kernel)});
  c.files.push_back({kQemuInitrd, std::move(spec.initrd)});
  child.env = {"LC_ALL=C"};
  child.stderr = std::move(spec.errors);
  child.fds.emplace_back(kQemuControl, std::move(control));
  child.fds.emplace_back(kQemuConsole, std::move(spec.console));
  child.fds.emplace_back(kQemuAgent, std::move(spec.agent));
  child.fds.emplace_back(kQemuDisk, std::move(spec.disk));
  child.fds.emplace_back(kQemuBacking, std::move(spec.backing));
  if (spec.frames) child.fds.emplace_back(kQemuFrames, std::move(spec.frames));
  if (spec.saveTo || spec.savedAs) {
    c.procfs = ProcFs::kProcesses;  // of its own pid namespace: of itself
    SavedFiles& files = spec.saveTo ? *spec.saveTo : spec.savedAs->files;
    child.fds.emplace_back(kQemuMemory, std::move(files.memory));
  }
  if (spec.savedAs) {
    child.fds.emplace_back(kQemuDevices, std::move(spec.savedAs->files.devices));
    child.fds.emplace_back(kQemuSavedDisk, std::move(spec.savedAs->disk));
  }
  return startContained(std::move(c), std::move(child));
}

co::Co<kj::Own<Machine>> startNow(kj::LowLevelAsyncIoProvider& io, kj::UnixEventPort& port, MachineSpec spec,
                                  MachineEventHandler onEvent) {
  auto [ours, theirs] = makeSocketPair(SOCK_STREAM);
  Fd socket = spec.saveTo ? ours.duplicate() : Fd();
  auto stream = io.wrapSocketFd(ours.release(), kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP |
                                                    kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
  bool saved = spec.savedAs.has_value();
  Child child = launch(spec, std::move(theirs));
  Fd saveTo = spec.saveTo ? std::move(spec.saveTo->devices) : Fd();
  auto machine = kj::heap<QemuMachine>(port, std::move(child), kj::mv(stream), std::move(socket),
                                       std::move(saveTo), std::move(onEvent));
  co_await machine->greet();
  if (saved) co_await machine->load();
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
