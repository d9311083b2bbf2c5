#include "base/subids.h"

#include <gtest/gtest.h>

namespace cove {
namespace {

TEST(SubIds, LinesOfTheUserByNameOrNumber) {
  auto ranges =
      parseSubIds("ann:100000:65536\nbob:165536:65536\n1001:300000:10\nann:x:1\nann:5\n:1:2\n", "ann", 1001);
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].first, 100000u);
  EXPECT_EQ(ranges[0].count, 65536u);
  EXPECT_EQ(ranges[1].first, 300000u);
}

TEST(SubIds, NonsenseIsLeftOut) {
  EXPECT_TRUE(parseSubIds("ann:4294967295:65536\nann:1:0\nann:-1:5\nann:1:5x\nann:99999999999:1\n", "ann", 1)
                  .empty());
  EXPECT_TRUE(parseSubIds("annabel:1:5\nan:1:5", "ann", 1).empty());
}

TEST(SubIds, CommandNamesAFreeRange) {
  EXPECT_EQ(addSubIdsCommand("ann", "", ""),
            "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ann");
  EXPECT_EQ(addSubIdsCommand("ann", "bob:100000:65536\n", "eve:165536:65536\n"),
            "sudo usermod --add-subuids 231072-296607 --add-subgids 231072-296607 ann");
  // One that begins before and ends inside the first candidate.
  EXPECT_EQ(addSubIdsCommand("ann", "bob:90000:10001\n", ""),
            "sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 ann");
}

}  // namespace
}  // namespace cove
