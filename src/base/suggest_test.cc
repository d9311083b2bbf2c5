#include "base/suggest.h"

#include <gtest/gtest.h>

namespace cove {
namespace {

TEST(Suggest, Distance) {
  EXPECT_EQ(editDistance("", ""), 0u);
  EXPECT_EQ(editDistance("", "abc"), 3u);
  EXPECT_EQ(editDistance("start", "strat"), 1u);  // neighbours swapped
  EXPECT_EQ(editDistance("kitten", "sitting"), 3u);
}

TEST(Suggest, NearestOrNone) {
  const std::vector<std::string> known = {"start", "stop", "restart", "list"};
  EXPECT_EQ(didYouMean("strat", known), "Did you mean start?");
  EXPECT_EQ(didYouMean("lst", known), "Did you mean list?");
  EXPECT_EQ(didYouMean("frobnicate", known), "");
  EXPECT_EQ(didYouMean("x", known), "");
  EXPECT_EQ(didYouMean(std::string(100'000, 's'), known), "");
  EXPECT_EQ(didYouMean("wbe", {"web\x1b"}), "Did you mean web\\x1b?");
}

}  // namespace
}  // namespace cove
