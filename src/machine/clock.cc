#include "machine/clock.h"

#include <cerrno>
#include <ctime>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/error.h"
#include "rpc/connection.h"

namespace cove {

namespace {
constexpr time_t kFar = 1'000'000'000'000;  // the timer is not there to expire
}

ClockWatch::ClockWatch(kj::UnixEventPort& port)
    : port_(port),
      timer_(::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK), "watch", "the clock") {
  itimerspec far{{0, 0}, {kFar, 0}};
  check(::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, nullptr), "watch",
        "the clock");
}

kj::Promise<void> ClockWatch::whenSet() {
  return whenReadable(port_, timer_.get()).then([this]() -> kj::Promise<void> {
    uint64_t times;
    if (::read(timer_.get(), &times, sizeof times) < 0 && errno == ECANCELED) return kj::READY_NOW;
    return whenSet();
  });
}

}  // namespace cove
