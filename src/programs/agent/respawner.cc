#include "agent/respawner.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <kj/timer.h>
#include <optional>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/console.h"
#include "base/child.h"
#include "base/error.h"
#include "rpc/connection.h"
#include "rpc/error.h"

namespace cove::agent {

namespace {
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
constexpr milliseconds kLongestWait{5000};
constexpr milliseconds kLongLife{10'000};  // after which a death is no series of deaths
constexpr kj::Duration kRespawnerPause = 500 * kj::MILLISECONDS;

void becomeUnkillable(char** arguments) {
  if (arguments[0] != nullptr && arguments[0][0] != 0) arguments[0][0] = '@';
  ::prctl(PR_SET_NAME, "cove-agent");
  ::setsid();
  writeAll(openFile("/proc/self/oom_score_adj", O_WRONLY), "-1000", "/proc/self/oom_score_adj");
  // Nothing may come in by, or hang on, the console that the kernel gave to its first process.
  Fd null = openFile("/dev/null", O_RDWR);
  for (int fd = 0; fd <= 2; ++fd) check(::dup2(null.get(), fd), "close", "the console");
}

// The process that started this one; nullopt where it has ended.
std::optional<Fd> openParent() {
  pid_t parent = ::getppid();
  if (parent == 1) return std::nullopt;  // init took us over
  auto process = openProcess({parent, startTimeOf(parent).value_or(0)});
  return ::getppid() == parent ? std::move(process) : std::nullopt;
}

[[noreturn]] void keepRunning(const Fd& notify, const AgentBody& agent) {
  milliseconds wait{0};
  for (;;) {
    Clock::time_point start = Clock::now();
    Child child = Child::fork([&] {
      try {
        agent(notify);
      } catch (...) {
        report(Importance::kError, currentError().message());
      }
      return 1;
    });
    Ended ended = child.wait();
    wait = Clock::now() - start > kLongLife ? milliseconds{0}
                                            : std::min(wait * 2 + milliseconds{50}, kLongestWait);
    report(Importance::kError, "the agent ended with " + ended.describe() + "; starting it again");
    timespec pause{wait.count() / 1000, wait.count() % 1000 * 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
}

// Outlives the agent that starts it. It is executed, not forked: nothing of the agent's, above all not the
// port to the host, which only one process may have open, stays open in it.
Child startAnother(const Fd& notify) {
  Child::Spec spec;
  spec.argv = {"@cove-agent", kRespawn};
  spec.program = openFile("/proc/self/exe", O_RDONLY);
  if (notify) spec.stdin = notify.duplicate();
  return Child::start(std::move(spec));
}
}  // namespace

void startRespawner(char** arguments, const Fd& notify, const AgentBody& agent) {
  Child::fork([&]() -> int {
    becomeUnkillable(arguments);
    keepRunning(notify, agent);
  }).release();
}

void resumeRespawner(char** arguments, const AgentBody& agent) {
  Fd notify;
  if (S_ISSOCK(statOf(Fd(::dup(STDIN_FILENO))).st_mode))
    notify = Fd(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), "keep", "the readiness socket");
  std::optional<Fd> present = openParent();
  becomeUnkillable(arguments);
  if (present) {
    pollfd end{present->get(), POLLIN, 0};
    while (::poll(&end, 1, -1) < 0 && errno == EINTR) {
    }
  }
  report(Importance::kError, "the agent ended; starting it again");
  keepRunning(notify, agent);
}

co::Co<void> keepRespawner(kj::UnixEventPort& port, Fd notify) {
  if (auto first = openParent()) co_await whenReadable(port, first->get());
  for (;;) {
    report(Importance::kError, "the agent's respawner ended; starting another");
    try {
      Child child = startAnother(notify);
      pid_t pid = child.pid();
      Fd process = child.pidfd().duplicate();
      child.release();  // this agent's end must not be its end
      co_await whenReadable(port, process.get());
      ::waitpid(pid, nullptr, WNOHANG);
    } catch (...) {
      report(Importance::kError, currentError().message());
    }
    co_await port.getTimer().afterDelay(kRespawnerPause);
  }
}

}  // namespace cove::agent
