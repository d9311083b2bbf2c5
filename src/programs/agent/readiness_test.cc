#include "agent/readiness.h"

#include <gmock/gmock.h>

namespace cove::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST(Notification, IsAWholeLineOnly) {
  EXPECT_TRUE(says("READY=1", "READY=1"));
  EXPECT_TRUE(says("READY=1\nSTATUS=Startup finished in 5s.", "READY=1"));
  EXPECT_TRUE(says("STATUS=x\nREADY=1\n", "READY=1"));
  EXPECT_TRUE(says("STOPPING=1", "STOPPING=1"));
  EXPECT_FALSE(says("", "READY=1"));
  EXPECT_FALSE(says("READY=10", "READY=1"));
  EXPECT_FALSE(says("STATUS=READY=1", "READY=1"));
  EXPECT_FALSE(says("READY=0\nNOTREADY=1\n", "READY=1"));
}

TEST(UnitList, IsTheFirstWordOfEachLine) {
  EXPECT_THAT(parseUnitList("a.service loaded failed failed A thing\n  b@x.service loaded failed failed B\n"),
              ElementsAre("a.service", "b@x.service"));
  EXPECT_THAT(parseUnitList(""), IsEmpty());
  EXPECT_THAT(parseUnitList("\n \n"), IsEmpty());
}

TEST(UnitList, IsBounded) {
  std::string many;
  for (int i = 0; i < 5000; ++i) many += "x.service loaded failed\n";
  EXPECT_THAT(parseUnitList(many), SizeIs(100));
  EXPECT_THAT(parseUnitList(std::string(100'000, 'x') + "\n"), IsEmpty());
}

}  // namespace
}  // namespace cove::agent
