#include "cove/log_follower.h"

#include <cerrno>
#include <unistd.h>

#include "base/error.h"

namespace cove::cli {

bool LogFollower::read(const std::function<void(std::string_view)>& take) {
  if (file_) readRest(take);
  int opened = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (opened < 0 && errno == ENOENT) return false;
  Fd current(opened, "open", path_);
  struct stat now = statOf(current, path_);
  if (file_) {
    struct stat before = statOf(file_, path_);
    if (now.st_ino == before.st_ino && now.st_dev == before.st_dev) {
      // Cut short in place: what is left is new.
      if (lseek(file_.get(), 0, SEEK_CUR) > now.st_size) lseek(file_.get(), 0, SEEK_SET);
      return true;
    }
  }
  file_ = std::move(current);
  readRest(take);
  return true;
}

void LogFollower::readRest(const std::function<void(std::string_view)>& take) {
  char buffer[16384];
  while (true) {
    ssize_t count = ::read(file_.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (check(count, "read", path_) == 0) return;
    take({buffer, size_t(count)});
  }
}

}  // namespace cove::cli
