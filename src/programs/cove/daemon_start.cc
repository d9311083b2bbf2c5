#include "cove/daemon_start.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <poll.h>
#include <sys/file.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "base/child.h"
#include "base/error.h"
#include "base/lock.h"
#include "base/text.h"
#include "rpc/connection.h"

namespace cove {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kStartLimit = std::chrono::seconds{30};
constexpr auto kBacklogLimit = std::chrono::seconds{10};  // until a daemon with a full backlog accepts
constexpr auto kLookPause = std::chrono::milliseconds{5};
constexpr const char* kFailuresName = "start.failures";  // seconds since the epoch, one a line
constexpr size_t kFailuresToStop = 3;
constexpr time_t kFailureWindow = 60;

std::optional<Fd> connectIn(const Fd& runtime, const std::string& socket) {
  Fd fd;
  try {
    fd = connectUnix(runtime, socket, kBacklogLimit);
  } catch (const Error& e) {
    if (e.code() == ENOENT || e.code() == ECONNREFUSED) return std::nullopt;
    if (e.code() == EAGAIN) throw Error("the daemon does not answer: too many clients wait for it already");
    throw;
  }
  if (Peer peer = peerOf(fd); peer.uid != ::geteuid())
    throw Error(str("will not use the daemon's socket: uid ", peer.uid, " listens on it"));
  return fd;
}

// What coved wrote into life.lock: "PID STARTTIME RUNTIME-DIRECTORY\n". nullopt: nobody holds the lock.
struct Holder {
  ProcessId process;
  std::string runtime;
};
std::optional<Holder> lifeLockHolder(const StateDir& state) {
  Fd fd(::openat(state.fd.get(), kLifeLockName, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd || ::flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return std::nullopt;
  std::string line = readAll(fd, 8192, kLifeLockName);
  size_t first = line.find(' '), second = line.find(' ', first + 1);
  if (second == std::string::npos || line.back() != '\n') return Holder{};  // it is just being written
  ProcessId process{static_cast<pid_t>(std::strtol(line.c_str(), nullptr, 10)),
                    std::strtoull(line.c_str() + first, nullptr, 10)};
  return Holder{process, line.substr(second + 1, line.size() - second - 2)};
}

// In the runtime directory that the daemon was started with. Nothing where that is gone: it will bind again.
std::optional<Fd> connectElsewhere(const std::string& runtime, const std::string& socket) {
  std::optional<RuntimeDir> dir;
  try {
    dir = openRuntimeDir(runtime);
  } catch (const Error&) {
    return std::nullopt;
  }
  return connectIn(dir->fd, socket);
}

// Times of failed starts within the window.
std::vector<time_t> recentFailures(const StateDir& state) {
  std::vector<time_t> times;
  Fd fd(::openat(state.fd.get(), kFailuresName, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return times;
  std::string text = readAll(fd, 4096, kFailuresName);
  time_t now = std::time(nullptr);
  for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    time_t when = std::strtoll(text.c_str() + at, nullptr, 10);
    if (when <= now && when > now - kFailureWindow) times.push_back(when);
    if (text.find('\n', at) == std::string::npos) break;
  }
  return times;
}

void recordFailure(const StateDir& state) {
  std::vector<time_t> times = recentFailures(state);
  times.push_back(std::time(nullptr));
  std::string text;
  for (size_t i = times.size() > kFailuresToStop ? times.size() - kFailuresToStop : 0; i < times.size(); ++i)
    text += str(times[i], "\n");
  writeFileAtomic(state.fd, kFailuresName, text, 0600);
}

// What of the client's environment is the daemon's: where things are, and how to reach the network.
std::vector<std::string> daemonEnvironment() {
  constexpr const char* kNames[] = {"PATH",        "HOME",        "USER",     "LOGNAME",
                                    "LANG",        "TMPDIR",      "TZ",       "XDG_RUNTIME_DIR",
                                    "http_proxy",  "https_proxy", "no_proxy", "HTTP_PROXY",
                                    "HTTPS_PROXY", "NO_PROXY"};
  std::vector<std::string> environment;
  for (const char* name : kNames)
    if (const char* value = std::getenv(name)) environment.push_back(str(name, "=", value));
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (std::string_view(*entry).substr(0, 5) == "COVE_") environment.emplace_back(*entry);
  return environment;
}

// Forks twice, so that the daemon is nobody's child and in a session of its own. Its stderr is its log, so
// that what the dynamic linker says is not lost.
void spawn(const DaemonPlaces& places, const std::string& program, Fd ready) {
  Fd log = openAt(places.state.fd, kDaemonLogName, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
  Child::Spec spec;
  spec.argv = {program, "--home", places.state.path, "--ready", "3"};
  spec.env = daemonEnvironment();
  spec.stderr = std::move(log);
  spec.fds.emplace_back(3, std::move(ready));
  spec.newSession = true;
  spec.prepare = [] { return ::chdir("/") == 0 ? 0 : errno; };
  Child between = Child::fork([&] {
    Child::start(std::move(spec)).release();
    return 0;
  });
  spec = {};  // our own copy of the pipe's end: only the daemon's death or answer ends the wait
  if (Ended ended = between.wait(); !ended.ok()) throw Error("cannot start daemon: " + ended.describe());
}

// "R", "E" and a reason, or nothing where it crashed.
std::string awaitReady(const Fd& ready, Clock::time_point deadline) {
  std::string answer;
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    struct pollfd poll {
      ready.get(), POLLIN, 0
    };
    int n = ::poll(&poll, 1, left > 0 ? static_cast<int>(left) : 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return "Eit did not answer in time";
    char buffer[1024];
    ssize_t size = ::read(ready.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size > 0) answer.append(buffer, static_cast<size_t>(size));
    if (size <= 0 || answer[0] == 'R' || answer.size() > 16384) return answer;
  }
}

Fd spawnAndConnect(const DaemonPlaces& places, bool regardless, const std::function<void()>& announce,
                   Clock::time_point deadline) {
  if (!regardless && recentFailures(places.state).size() >= kFailuresToStop)
    throw Error(str("cannot start daemon: it failed ", kFailuresToStop, " times within a minute",
                    daemonLogTail(places)))
        .hint("Try once more with\n  cove daemon start");
  std::string program;
  try {
    program = programPath("coved");
  } catch (const Error& e) {
    throw Error(str("cannot start daemon: ", e.what()));
  }
  announce();
  Pipe ready = makePipe();
  spawn(places, program, std::move(ready.write));
  std::string answer = awaitReady(ready.read, deadline);
  if (answer == "R") {
    if (auto socket = connectDaemon(places)) {
      ::unlinkat(places.state.fd.get(), kFailuresName, 0);  // whatever it was, it is mended
      return std::move(*socket);
    }
  }
  recordFailure(places.state);
  if (answer.size() < 2 || answer[0] != 'E')
    throw Error("cannot start daemon: it ended at once" + daemonLogTail(places));
  size_t line = std::min(answer.find('\n'), answer.size());  // the reason, then what to do
  throw Error("cannot start daemon: " + escapeForTerminal(answer.substr(1, line - 1)))
      .hint(escapeForTerminal(answer.substr(std::min(line + 1, answer.size())), true));
}

}  // namespace

std::optional<Fd> connectDaemon(const DaemonPlaces& places) {
  auto deadline = Clock::now() + kStartLimit;
  std::optional<Holder> holder;
  do {
    if (auto socket = connectIn(places.runtime.fd, places.socket)) return socket;
    holder = lifeLockHolder(places.state);
    if (!holder) return std::nullopt;
    // Alive, but not here: it is ending, or about to bind its socket (again), or was started where the
    // runtime directory is another one.
    if (!holder->runtime.empty() && holder->runtime != places.runtime.path)
      if (auto socket = connectElsewhere(holder->runtime, places.socket)) return socket;
    std::this_thread::sleep_for(kLookPause);
  } while (Clock::now() < deadline);
  throw Error(str("cannot reach the daemon: process ", holder->process.pid,
                  " holds the state directory but does not answer", daemonLogTail(places)))
      .hint("End it, then try again (machines go on running):\n  cove daemon stop");
}

Fd startDaemon(const DaemonPlaces& places, bool regardless, const std::function<void()>& announce) {
  auto deadline = Clock::now() + kStartLimit;
  auto lock = Lock::take(places.state.fd, kStartLockName, kStartLimit);
  if (!lock)
    throw Error("cannot start daemon: another process has been starting it for 30 s").hint("Try again.");
  if (auto socket = connectDaemon(places)) return std::move(*socket);
  return spawnAndConnect(places, regardless, announce, deadline);
}

std::optional<Fd> signalDaemon(const DaemonPlaces& places, int signal) {
  auto holder = lifeLockHolder(places.state);
  if (!holder) return std::nullopt;
  auto process = openProcess(holder->process);
  if (process) sendSignal(*process, signal);
  return process;
}

std::string daemonLogTail(const DaemonPlaces& places) {
  constexpr off_t kBytes = 4096;
  constexpr size_t kLines = 5;
  Fd log(::openat(places.state.fd.get(), kDaemonLogName, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!log) return "";
  off_t size = statOf(log).st_size;
  ::lseek(log.get(), size > kBytes ? size - kBytes : 0, SEEK_SET);
  std::string text = readAll(log, 16 * kBytes, kDaemonLogName), tail;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (size_t lines = 0; lines < kLines && !text.empty(); ++lines) {
    size_t start = text.rfind('\n');
    tail.insert(0, "\n  " + escapeForTerminal(text.substr(start == std::string::npos ? 0 : start + 1)));
    text.resize(start == std::string::npos ? 0 : start);
  }
  return tail.empty() ? ""
                      : "\nThe end of its log (" + places.state.path + "/" + kDaemonLogName + "):" + tail;
}

}  // namespace cove
