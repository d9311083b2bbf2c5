#include "agent/respawner.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/console.h"
#include "base/child.h"
#include "base/error.h"
#include "rpc/error.h"

namespace cove::agent {

namespace {
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
constexpr milliseconds kLongestWait{5000};
constexpr milliseconds kLongLife{10'000};  // after which a death is no series of deaths

void becomeUnkillable(char** arguments) {
  if (arguments[0] != nullptr && arguments[0][0] != 0) arguments[0][0] = '@';
  ::prctl(PR_SET_NAME, "cove-agent");
  ::setsid();
  writeAll(openFile("/proc/self/oom_score_adj", O_WRONLY), "-1000", "/proc/self/oom_score_adj");
  // Nothing may come in by, or hang on, the console that the kernel gave to its first process.
  Fd null = openFile("/dev/null", O_RDWR);
  for (int fd = 0; fd <= 2; ++fd) check(::dup2(null.get(), fd), "close", "the console");
}

void keepRunning(const std::function<void()>& agent) {
  milliseconds wait{0};
  for (;;) {
    Clock::time_point start = Clock::now();
    Child child = Child::fork([&agent] {
      try {
        agent();
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
}  // namespace

void startRespawner(char** arguments, const std::function<void()>& agent) {
  Child::fork([&] {
    becomeUnkillable(arguments);
    keepRunning(agent);
    return 1;
  }).release();
}

}  // namespace cove::agent
