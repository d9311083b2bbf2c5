#include "base/lock.h"

#include <cerrno>
#include <sys/file.h>
#include <thread>

#include "base/error.h"

namespace cove {

std::optional<Lock> Lock::take(const Fd& dir, const std::string& name, std::chrono::milliseconds wait) {
  Fd fd = openAt(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  auto deadline = std::chrono::steady_clock::now() + wait;
  // flock has no time limit of its own, and an alarm would need a signal handler: short sleeps, as the holder
  // keeps start.lock for milliseconds.
  for (auto pause = std::chrono::microseconds{200};;
       pause = std::min(pause * 2, std::chrono::microseconds{5000})) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return Lock(std::move(fd));
    if (errno != EWOULDBLOCK && errno != EINTR) throw sysError("lock", name);
    if (std::chrono::steady_clock::now() >= deadline) return std::nullopt;
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace cove
