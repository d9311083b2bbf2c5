// An advisory lock on a file that is never deleted (whoever deletes a lock file lets two hold it at once).
#pragma once
#include <chrono>
#include <optional>
#include <string>

#include "base/fd.h"

namespace cove {

class Lock {
 public:
  // Creates `name` (0600) when missing. nullopt: held by another until the deadline; zero does not wait.
  static std::optional<Lock> take(const Fd& dir, const std::string& name,
                                  std::chrono::milliseconds wait = std::chrono::milliseconds{0});
  const Fd& fd() const { return fd_; }

 private:
  explicit Lock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace cove
