// The host's wall clock.
#pragma once
#include <kj/async-unix.h>

#include "base/fd.h"

namespace cove {

// Hears when it jumps: somebody set it, or the host slept (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
class ClockWatch {
 public:
  explicit ClockWatch(kj::UnixEventPort& port);
  // The next time. Jumps since this was made, or was answered, count.
  kj::Promise<void> whenSet();

 private:
  kj::UnixEventPort& port_;
  Fd timer_;
};

}  // namespace cove
