// When the daemon ends: asked to, or after a time without clients, operations and running machines.
#pragma once
#include <functional>
#include <kj/timer.h>

#include "rpc/co.h"

namespace cove {

class Lifetime {
 public:
  struct Use {
    bool busy;                 // a client, an operation, a running machine
    kj::TimePoint lastChange;  // of the clients
  };
  // `idleLimit` 0: it never ends by itself.
  Lifetime(kj::Timer& timer, kj::Duration idleLimit, std::function<Use()> use)
      : timer_(timer), idleLimit_(idleLimit), use_(std::move(use)), lastBusy_(timer.now() + kGrace) {}

  // Resolves when the daemon is to end.
  co::Co<void> wait();
  void end();

  kj::Duration idleLimit() const { return idleLimit_; }
  kj::Duration idleLeft();

 private:
  static constexpr kj::Duration kGrace = 1 * kj::SECONDS;  // whoever started the daemon is on his way to it
  co::Co<void> whenIdle();

  kj::Timer& timer_;
  kj::Duration idleLimit_;
  std::function<Use()> use_;
  kj::TimePoint lastBusy_;
  kj::PromiseFulfillerPair<void> asked_ = kj::newPromiseAndFulfiller<void>();
};

}  // namespace cove
