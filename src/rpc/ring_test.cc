#include "rpc/ring.h"

#include <gtest/gtest.h>
#include <random>
#include <string>

namespace cove {
namespace {

std::byte at(uint64_t offset) { return static_cast<std::byte>(offset * 2654435761u >> 13); }

TEST(Ring, KeepsEveryByteUntilItIsReleased) {
  std::mt19937 random(1);
  Ring ring(1024 * 1024);
  uint64_t checked = 0;
  for (int step = 0; step < 600; ++step) {
    auto room = ring.room(1 + random() % 280000);
    ASSERT_EQ(room.empty(), ring.full());
    for (size_t i = 0; i < room.size(); ++i) room[i] = at(ring.end() + i);
    ring.commit(room.size());
    uint64_t upTo = ring.begin() + random() % (ring.end() - ring.begin() + 1);
    for (checked = ring.begin(); checked < upTo;) {
      auto part = ring.from(checked, upTo - checked);
      ASSERT_FALSE(part.empty());
      for (size_t i = 0; i < part.size(); i += 97) ASSERT_EQ(part[i], at(checked + i));
      checked += part.size();
    }
    if (step % 3 == 0) ring.release(upTo);
  }
  EXPECT_GT(ring.begin(), 4 * 1024u * 1024);
}

TEST(Ring, GivesNoMoreThanItHolds) {
  Ring ring(64 * 1024);
  ring.commit(ring.room(1 << 20).size());
  EXPECT_EQ(ring.end(), 64u * 1024);
  EXPECT_TRUE(ring.room(1).empty());
  EXPECT_TRUE(ring.from(64 * 1024, 10).empty());
  ring.release(1'000'000);
  EXPECT_EQ(ring.begin(), ring.end());
  EXPECT_TRUE(ring.from(0, 10).empty());
}

TEST(Ring, WaitsUntilThereIsRoomThatIsWorthIt) {
  Ring ring(1024 * 1024);
  while (!ring.full()) ring.commit(ring.room(1 << 20).size());
  ring.release(1000);
  EXPECT_EQ(ring.room(4096).size(), 1000u);
  EXPECT_TRUE(ring.room(4096, 1001).empty());
  ring.release(1001);
  EXPECT_EQ(ring.room(4096, 1001).size(), 1001u);
}

}  // namespace
}  // namespace cove
