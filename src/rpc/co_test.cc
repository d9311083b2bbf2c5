#include "rpc/co.h"

#include <gtest/gtest.h>
#include <kj/async-io.h>

#include "base/error.h"

namespace cove {
namespace {

struct Counted {
  explicit Counted(int& alive) : alive_(alive) { ++alive_; }
  ~Counted() { --alive_; }
  Counted(const Counted&) = delete;
  int& alive_;
};

co::Co<int> later(kj::Timer& timer, int value) {
  co_await timer.afterDelay(1 * kj::MILLISECONDS);
  co_return value;
}
co::Co<int> sum(kj::Timer& timer) {
  int a = co_await later(timer, 1);
  int b = co_await later(timer, 2);
  co_return a + b;
}
co::Co<void> fail(kj::Timer& timer) {
  co_await timer.afterDelay(1 * kj::MILLISECONDS);
  throw Error("it broke").hint("mend it").status(Exit::kRefused);
}
co::Co<void> hold(kj::Timer& timer, int& alive) {
  Counted counted(alive);
  co_await timer.afterDelay(1 * kj::HOURS);
}

TEST(Co, AwaitsPromisesAndCoroutines) {
  auto io = kj::setupAsyncIo();
  EXPECT_EQ(sum(io.provider->getTimer()).wait(io.waitScope), 3);
}

TEST(Co, AnErrorKeepsItsHintAndStatus) {
  auto io = kj::setupAsyncIo();
  try {
    fail(io.provider->getTimer()).wait(io.waitScope);
    FAIL();
  } catch (const kj::Exception& e) {
    Error error = fromKj(e);
    EXPECT_EQ(error.message(), "it broke");
    EXPECT_EQ(error.hint(), "mend it");
    EXPECT_EQ(error.status(), Exit::kRefused);
  }
}

TEST(Co, DroppingCancels) {
  auto io = kj::setupAsyncIo();
  int alive = 0;
  {
    auto promise = hold(io.provider->getTimer(), alive);
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace cove
