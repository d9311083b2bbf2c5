// coved.log: the daemon's stderr, and so that of its helpers. Bounded: one old file is kept beside it.
#pragma once
#include <kj/timer.h>

#include "base/log.h"
#include "base/paths.h"
#include "rpc/co.h"

namespace cove {

class LogFile {
 public:
  explicit LogFile(const StateDir& state);
  const Log& log() const { return log_; }
  // Looks at its size now and then, until dropped.
  co::Co<void> keepBounded(kj::Timer& timer);

 private:
  void open();
  const StateDir& state_;
  Log log_;
};

}  // namespace cove
