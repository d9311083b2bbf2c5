#include "instance/pool.h"

#include <gtest/gtest.h>
#include <kj/async-io.h>

#include "base/error.h"

namespace cove {
namespace {

class PoolTest : public testing::Test {
 protected:
  ~PoolTest() noexcept override {}

  Pool make(size_t size, kj::Duration idle = 10 * kj::MINUTES) {
    Pool::Make make = [this](InstanceSpec spec) -> kj::Promise<LeasedInstance> {
      if (broken_) return toKj(Error("nothing to begin from"));
      std::string name = spec.os + "-" + std::to_string(++made_);
      return LeasedInstance{"id-" + name, name, nullptr};
    };
    return Pool(timer_, {size, idle}, make, log_);
  }
  void pass(kj::Duration time) {
    timer_.advanceTo(timer_.now() + time);
    kj::Promise<void>(kj::NEVER_DONE).poll(scope_);
  }
  static InstanceSpec specOf(const std::string& os) {
    InstanceSpec spec;
    spec.os = os;
    return spec;
  }
  static std::string nameOf(std::optional<LeasedInstance> taken) { return taken ? taken->name : ""; }

  kj::EventLoop loop_;
  kj::WaitScope scope_{loop_};
  kj::TimerImpl timer_{kj::origin<kj::TimePoint>()};
  Log log_{openFile("/dev/null", O_WRONLY), "test"};
  int made_ = 0;
  bool broken_ = false;
};

TEST_F(PoolTest, HoldsAsManyAsItShouldAMomentAfterOneWasWanted) {
  Pool pool = make(2);
  EXPECT_EQ(nameOf(pool.take("a")), "");
  pool.want("a", specOf("a"));
  pass(500 * kj::MILLISECONDS);
  EXPECT_EQ(pool.size(), 0U);
  pass(600 * kj::MILLISECONDS);
  EXPECT_EQ(pool.size(), 2U);
  EXPECT_TRUE(pool.holds("id-a-2"));
  EXPECT_EQ(nameOf(pool.take("a")), "a-1");
  EXPECT_EQ(nameOf(pool.take("a")), "a-2");
  EXPECT_EQ(nameOf(pool.take("a")), "");
  pool.want("a", specOf("a"));
  pass(2 * kj::SECONDS);
  EXPECT_EQ(nameOf(pool.take("a")), "a-3");
}

TEST_F(PoolTest, HoldsTheKindThatWasWantedLast) {
  Pool pool = make(1);
  pool.want("a", specOf("a"));
  pass(2 * kj::SECONDS);
  EXPECT_EQ(nameOf(pool.take("b")), "");
  pool.want("b", specOf("b"));
  EXPECT_EQ(pool.size(), 0U);
  pass(2 * kj::SECONDS);
  EXPECT_EQ(nameOf(pool.take("a")), "");
  EXPECT_EQ(nameOf(pool.take("b")), "b-2");
}

TEST_F(PoolTest, LetsThemEndWhenNobodyWantsOne) {
  Pool pool = make(1, 60 * kj::SECONDS);
  pool.want("a", specOf("a"));
  pass(2 * kj::SECONDS);
  pass(50 * kj::SECONDS);
  EXPECT_EQ(pool.size(), 1U);
  pool.want("a", specOf("a"));
  pass(50 * kj::SECONDS);
  EXPECT_EQ(pool.size(), 1U);
  pass(61 * kj::SECONDS);
  EXPECT_EQ(pool.size(), 0U);
}

TEST_F(PoolTest, ForgetsWhatHasEnded) {
  Pool pool = make(2);
  pool.want("a", specOf("a"));
  pass(2 * kj::SECONDS);
  pool.forget("id-a-1");
  EXPECT_EQ(pool.size(), 1U);
  EXPECT_EQ(nameOf(pool.take("a")), "a-2");
}

TEST_F(PoolTest, MayBeToldToKeepThemForEver) {
  Pool pool = make(1, 0 * kj::SECONDS);
  pool.want("a", specOf("a"));
  pass(2 * kj::SECONDS);
  pass(1'000'000 * kj::SECONDS);
  EXPECT_EQ(pool.clear(), std::vector<std::string>{"id-a-1"});
  EXPECT_EQ(pool.size(), 0U);
}

TEST_F(PoolTest, HoldsNoneUnlessItIsTold) {
  Pool pool = make(0);
  pool.want("a", specOf("a"));
  pass(2 * kj::SECONDS);
  EXPECT_EQ(made_, 0);
}

TEST_F(PoolTest, TriesAgainWhenTheNextIsWanted) {
  Pool pool = make(1);
  broken_ = true;
  pool.want("a", specOf("a"));
  pass(2 * kj::SECONDS);
  EXPECT_EQ(pool.size(), 0U);
  broken_ = false;
  pass(100 * kj::SECONDS);
  EXPECT_EQ(pool.size(), 0U);
  pool.want("a", specOf("a"));
  pass(2 * kj::SECONDS);
  EXPECT_EQ(pool.size(), 1U);
}

}  // namespace
}  // namespace cove
