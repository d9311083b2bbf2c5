#include "coved/log_file.h"

#include <unistd.h>

#include "base/error.h"

namespace cove {

namespace {
constexpr off_t kLimit = 1 << 20;
constexpr kj::Duration kLookInterval = 1 * kj::MINUTES;
constexpr const char* kOldName = "coved.log.old";
}  // namespace

LogFile::LogFile(const StateDir& state) : state_(state), log_(Fd(STDERR_FILENO), "coved") { open(); }

void LogFile::open() {
  Fd file = openAt(state_.fd, kDaemonLogName, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
  if (statOf(file).st_size > kLimit) {
    check(::renameat(state_.fd.get(), kDaemonLogName, state_.fd.get(), kOldName), "rename", kDaemonLogName);
    file = openAt(state_.fd, kDaemonLogName, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
  }
  check(::dup2(file.get(), STDERR_FILENO), "redirect", "the log");
}

co::Co<void> LogFile::keepBounded(kj::Timer& timer) {
  for (;;) {
    co_await timer.afterDelay(kLookInterval);
    open();
  }
}

}  // namespace cove
