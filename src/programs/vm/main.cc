// cove-vm: the supervisor of one instance (vm.capnp says how it is started).
#include <csignal>
#include <kj/async-unix.h>
#include <memory>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/lock.h"
#include "base/paths.h"
#include "base/retire.h"
#include "hypervisor/qemu.h"
#include "machine/clock.h"
#include "machine/network.h"
#include "machine/rotated_file.h"
#include "machine/supervisor.h"
#include "machine/vm_server.h"

namespace cove {
namespace {

constexpr int kConfig = 3, kInstanceDir = 4, kImageDir = 5, kReadiness = 6, kMemory = 7, kDevices = 8,
              kSavedDisk = 9, kKey = 10;
constexpr size_t kLogLimit = 1 << 20;
constexpr auto kFarewell = 2 * kj::SECONDS;  // until clients have read how it ended

void limitMemory() {
  // A hostile guest can make us allocate; then we end, not the host.
  rlimit limit{1 << 30, 1 << 30};
  check(::setrlimit(RLIMIT_DATA, &limit), "limit", "the memory");
}

SupervisorParts realParts(kj::LowLevelAsyncIoProvider& io, kj::UnixEventPort& port, const Fd& dir) {
  SupervisorParts parts;
  parts.startMachine = [&io, &port](MachineSpec spec, MachineEventHandler onEvent) {
    return startQemu(io, port, std::move(spec), std::move(onEvent));
  };
  parts.startNetwork = [](Fd frames) { return startNetwork(std::move(frames)); };
  parts.openAgentProgram = [] { return openFile(programPath("cove-agent"), O_RDONLY); };
  parts.started = [&dir] {
    limitMemory();
    retire(dir);
  };
  auto clock = std::make_shared<ClockWatch>(port);
  parts.whenClockSet = [clock] { return clock->whenSet(); };
  return parts;
}

kj::Promise<void> stopOnSignal(kj::UnixEventPort& port, Supervisor& supervisor) {
  return port.onSignal(SIGTERM).then([&](auto&&) { return supervisor.stop(false, 0 * kj::SECONDS); });
}

// What a guest makes us log, again and again, must not fill the disk; nor what libraries print.
Log boundedLog(const Fd& dir) {
  auto file = std::make_shared<RotatedFile>(dir, "ha.stderr.log", kLogLimit);
  return {[file](std::string_view line) {
            file->append(line);
            for (int number : {STDOUT_FILENO, STDERR_FILENO}) ::dup2(file->fd().get(), number);
          },
          "cove-vm"};
}

void supervise(Fd& readiness) {
  check(::prctl(PR_SET_CHILD_SUBREAPER, 1), "become", "the reaper of the network's processes");
  VmSetup setup = readSetup(Fd(kConfig), Fd(kInstanceDir), Fd(kImageDir));
  if (setup.config.getFromSaved()) setup.from = {Fd(kMemory), Fd(kDevices), Fd(kSavedDisk)};
  if (setup.config.getResume()) setup.key = unpackKey(Fd(kKey));
  Fd dir = setup.instanceDir.duplicate();
  auto lock = Lock::take(dir, "vm.lock");
  if (!lock) throw Error("cannot start the machine: a supervisor of it runs already");

  Log log = boundedLog(dir);
  auto io = kj::setupAsyncIo();
  Supervisor supervisor(*io.lowLevelProvider, io.unixEventPort, std::move(setup),
                        realParts(*io.lowLevelProvider, io.unixEventPort, dir), log);
  VmServer server(*io.lowLevelProvider, io.unixEventPort, supervisor, dir, log);
  writeAll(readiness, "R", "the readiness pipe");
  readiness.reset();

  auto serving = server.run().eagerlyEvaluate([&](kj::Exception&& e) { log.error(fromKj(e).message()); });
  auto signals = stopOnSignal(io.unixEventPort, supervisor).eagerlyEvaluate(nullptr);
  supervisor.run().wait(io.waitScope);
  server.whenIdle().exclusiveJoin(io.provider->getTimer().afterDelay(kFarewell)).wait(io.waitScope);
}

int run() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGINT, SIG_IGN);
  kj::UnixEventPort::captureSignal(SIGTERM);
  Log log(Fd(2), "cove-vm");
  Fd readiness(kReadiness);
  try {
    if (::sodium_init() < 0) throw Error("cannot use libsodium");  // chooses what this processor does fastest
    supervise(readiness);
    return static_cast<int>(Exit::kDone);
  } catch (...) {
    Error error = currentError();
    log.error(error.message());
    if (readiness) writeAll(readiness, "E" + error.message(), "the readiness pipe");
    return static_cast<int>(error.status());
  }
}

}  // namespace
}  // namespace cove

int main() { return cove::run(); }
