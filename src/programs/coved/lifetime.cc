#include "coved/lifetime.h"

namespace cove {

kj::Duration Lifetime::idleLeft() {
  Use use = use_();
  if (use.busy) lastBusy_ = timer_.now();
  lastBusy_ = kj::max(lastBusy_, use.lastChange);
  kj::Duration passed = timer_.now() - lastBusy_;
  return passed < idleLimit_ ? idleLimit_ - passed : 0 * kj::NANOSECONDS;
}

co::Co<void> Lifetime::whenIdle() {
  if (idleLimit_ == 0 * kj::NANOSECONDS) co_await kj::Promise<void>(kj::NEVER_DONE);
  // Sampled: what was busy at no sample was idle for less than twice the limit, and a client's coming or
  // going counts exactly.
  for (kj::Duration left = idleLeft(); left > 0 * kj::NANOSECONDS; left = idleLeft())
    co_await timer_.afterDelay(left);
}

co::Co<void> Lifetime::wait() { co_await whenIdle().exclusiveJoin(kj::mv(asked_.promise)); }

void Lifetime::end() { asked_.fulfiller->fulfill(); }

}  // namespace cove
