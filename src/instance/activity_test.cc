#include "instance/activity.h"

#include <gmock/gmock.h>

#include "base/error.h"

namespace cove {
namespace {

TEST(Activity, OneChangeAtATime) {
  Activity activity;
  {
    auto entry = activity.begin("creating", "a");
    EXPECT_THROW(activity.begin("deleting", "a"), Error);
    auto other = activity.begin("creating", "b");
    EXPECT_EQ(activity.of("a"), "creating");
    EXPECT_THAT(activity.list(), testing::ElementsAre("creating a", "creating b"));
  }
  EXPECT_TRUE(activity.empty());
  auto again = activity.begin("deleting", "a");
}

TEST(Activity, DrainWaitsAndLetsNothingBegin) {
  kj::EventLoop loop;
  kj::WaitScope scope(loop);
  Activity activity;
  auto entry = std::make_unique<Activity::Entry>(activity.begin("creating", "a"));
  auto drained = activity.drain();
  EXPECT_FALSE(drained.poll(scope));
  EXPECT_THROW(activity.begin("creating", "b"), Error);
  entry.reset();
  EXPECT_TRUE(drained.poll(scope));
  drained.wait(scope);
}

}  // namespace
}  // namespace cove
