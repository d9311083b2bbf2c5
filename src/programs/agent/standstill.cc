#include "agent/standstill.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <kj/async-io.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "agent/etc.h"
#include "agent/identity.h"
#include "agent/reseed.h"
#include "base/error.h"
#include "base/text.h"
#include "rpc/co.h"
#include "rpc/connection.h"
#include "rpc/warm_up.h"
#include "target/local.h"

namespace cove::agent {

namespace {
constexpr const char* kGroups = "/sys/fs/cgroup";
constexpr const char* kInitGroup = "/sys/fs/cgroup/init.scope";
constexpr int kLooks = 2000;
constexpr timespec kPause{0, 5'000'000};
constexpr size_t kRandomSeed = 512;  // bytes, as systemd-random-seed(8) has it
constexpr size_t kLargestHosts = 1 << 20;
constexpr auto kWarmPause = 1 * kj::MILLISECONDS;

// The topmost cgroups that hold a process, systemd's own first: it makes others.
std::vector<std::string> populatedGroups() {
  std::vector<std::string> groups;
  for (const auto& entry : std::filesystem::directory_iterator(kGroups)) {
    if (!entry.is_directory()) continue;
    std::string path = entry.path();
    if (readFile(path + "/cgroup.events", 4096).find("populated 1") == std::string::npos) continue;
    groups.push_back(path);
  }
  return groups;
}

void awaitFrozen(const std::string& group) {
  for (int look = 0; readFile(group + "/cgroup.events", 4096).find("frozen 1") == std::string::npos; ++look) {
    if (look == kLooks) throw Error("cannot save the machine: " + group + " does not stand still");
    ::nanosleep(&kPause, nullptr);
  }
}

std::string commandLine(long pid) {
  try {
    return readFile(str("/proc/", pid, "/cmdline"), 1 << 20);
  } catch (const Error& e) {
    if (e.code() == ENOENT || e.code() == ESRCH) return {};  // it has ended
    throw;
  }
}

// Whoever is in the root cgroup cannot be frozen. Kernel threads have no command line.
void requireAlone() {
  std::string members = readFile(str(kGroups, "/cgroup.procs"), 1 << 20);
  for (const char* at = members.c_str(); *at != '\0';) {
    char* end;
    long pid = std::strtol(at, &end, 10);
    if (end == at) break;
    at = *end == '\n' ? end + 1 : end;
    if (pid == ::getpid() || pid <= 0) continue;
    std::string name = commandLine(pid);
    if (!name.empty())
      throw Error("cannot save the machine: " + escapeForTerminal(name) + " does not stand still");
  }
  std::optional<Fd> etc = findDirectory("etc");
  if (etc && !lockAccounts(*etc)) throw Error("cannot save the machine: somebody is editing its users");
}

void drawRandom(std::span<char> bytes) {
  for (size_t at = 0; at < bytes.size();) {
    ssize_t got = ::getrandom(bytes.data() + at, bytes.size() - at, 0);
    if (got < 0 && errno != EINTR) throw sysError("draw", "random bytes");
    if (got > 0) at += static_cast<size_t>(got);
  }
}

// In place: everything that could see half of it stands still, and a new file costs ten times as much.
void overwrite(const Fd& file, std::string_view data) {
  if (::pwrite(file.get(), data.data(), data.size(), 0) != static_cast<ssize_t>(data.size()))
    throw sysError("write", "what names this machine");
  if (statOf(file).st_size > static_cast<off_t>(data.size()))
    check(::ftruncate(file.get(), static_cast<off_t>(data.size())), "write", "what names this machine");
}

Fd openForWriting(const char* directory, const char* name) {
  std::optional<Fd> place = findDirectory(directory);
  if (!place || !readFileAt(*place, name)) return Fd();
  return openBeneath(*place, name, O_RDWR);
}

Child startWarmUp() {
  Child::Spec spec;
  spec.argv = {kWarmUpName};
  spec.program = openFile("/proc/self/exe", O_PATH);
  spec.env.emplace();
  spec.dieWithParent = true;
  return Child::start(std::move(spec));
}

co::Co<void> runTrueForEver(kj::Timer& timer, rpc::Target::Client target) {
  for (;;) {
    co_await runTrue(target);
    co_await timer.afterDelay(kWarmPause);
  }
}
}  // namespace

Standstill::Standstill()
    : random_(openFile("/dev/urandom", O_RDWR)),
      instance_(openForWriting("etc", kInstanceFile)),
      machineId_(openForWriting("etc", "machine-id")),
      randomSeed_(openForWriting("var/lib/systemd", "random-seed")),
      hostname_(openForWriting("etc", "hostname")),
      hosts_(openForWriting("etc", "hosts")) {
  if (::access("/sys/fs/cgroup/cgroup.procs", W_OK) < 0) throw sysError("freeze", "the guest's processes");
  // systemd puts whom it finds at its start into its own cgroup.
  writeAll(openFile(str(kGroups, "/cgroup.procs"), O_WRONLY), str(::getpid()), "the root cgroup");
  ::sync();  // the second one has less to do, while nothing runs
  try {
    if (::access(kInitGroup, F_OK) == 0) freeze(kInitGroup);
    for (const std::string& group : populatedGroups())
      if (group != kInitGroup) freeze(group);
    requireAlone();
    ::sync();
    warming_ = startWarmUp();
  } catch (...) {
    end();
    throw;
  }
}

Standstill::~Standstill() {
  try {
    end();
  } catch (...) {
    return;  // nothing is left that could be told
  }
}

void Standstill::addEntropy(std::span<const std::byte> seed) { reseed(random_, seed); }

bool Standstill::isAnother(std::string_view id) const {
  if (!instance_) return true;
  check(::lseek(instance_.get(), 0, SEEK_SET), "read", kInstanceFile);
  return readAll(instance_, 1024, kInstanceFile) != instanceLine(id);
}

void Standstill::become(std::string_view id) {
  if (auto made = newMachineId(); machineId_ && made) overwrite(machineId_, *made);
  std::array<char, kRandomSeed> seed;
  drawRandom(seed);
  if (randomSeed_) overwrite(randomSeed_, {seed.data(), seed.size()});
  removeSshHostKeys();
  if (instance_) overwrite(instance_, instanceLine(id));
}

void Standstill::setHostName(const std::string& name) {
  if (hostname_) overwrite(hostname_, name + "\n");
  if (hosts_) overwrite(hosts_, withHostName(readAll(hosts_, kLargestHosts, "/etc/hosts"), name));
  check(::sethostname(name.data(), name.size()), "set", "the host name");
}

void Standstill::freeze(const std::string& group) {
  freezers_.push_back(openFile(group + "/cgroup.freeze", O_WRONLY));
  writeAll(freezers_.back(), "1", group);
  awaitFrozen(group);
}

std::optional<Child> Standstill::end() {
  // systemd last: what it has removed then is not ours to let go.
  for (; !freezers_.empty(); freezers_.pop_back())
    if (::write(freezers_.back().get(), "0", 1) < 0 && errno != ENODEV)
      throw sysError("let go on", "the guest");
  if (warming_) warming_->signal(SIGKILL);
  return std::exchange(warming_, std::nullopt);
}

bool isToBeSaved() {
  std::string words = " " + readFile("/proc/cmdline", 1 << 16);
  std::replace(words.begin(), words.end(), '\n', ' ');
  return words.find(" cove.saved ") != std::string::npos;
}

void keepJournalInMemory() {
  replaceFile(makeDirectory("run/systemd/journald.conf.d"), "50-cove.conf", "[Journal]\nStorage=volatile\n",
              0644);
}

void warmUp() {
  sched_param none{};
  check(::sched_setscheduler(0, SCHED_IDLE, &none), "lower the priority of", "the warm-up");
  kj::AsyncIoContext io = kj::setupAsyncIo();
  auto [served, calling] = makeSocketPair(SOCK_STREAM);
  Connection server(
      *io.lowLevelProvider, std::move(served), Side::kServer,
      makeLocalTarget(io.unixEventPort, {.commandCgroup = {}, .mayStart = {}, .resetOomScore = true}));
  Connection client(*io.lowLevelProvider, std::move(calling), Side::kClient);
  kj::Promise<void>(runTrueForEver(io.provider->getTimer(), client.bootstrap<rpc::Target>()))
      .wait(io.waitScope);
  throw Error("the warm-up ended");
}

}  // namespace cove::agent
