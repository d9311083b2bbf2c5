#include "base/version.h"

#include <gtest/gtest.h>

namespace cove {
namespace {

TEST(Version, LaterBuildIsNewer) {
  EXPECT_TRUE(isNewerBuild("0.10.0+5.000000000", "0.9.1+7.000000000"));
  EXPECT_TRUE(isNewerBuild("0.1.0+1700000000.000000002", "0.1.0+1700000000.000000001"));
  EXPECT_FALSE(isNewerBuild("0.1.0+1700000000.000000001", "0.1.0+1700000000.000000001"));
  EXPECT_FALSE(isNewerBuild("0.1.0+999999999.5", "0.1.0+1700000000.1"));
}

TEST(Version, BuildIdIsOfTheProgramsFile) {
  EXPECT_EQ(buildIdOf("/proc/self/exe"), buildIdOf("/proc/self/exe"));
  EXPECT_EQ(buildIdOf("/proc/self/exe").rfind(std::string(version()) + "+", 0), 0U);
}

}  // namespace
}  // namespace cove
