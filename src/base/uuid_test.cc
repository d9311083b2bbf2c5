#include "base/uuid.h"

#include <gtest/gtest.h>

namespace cove {
namespace {

TEST(Uuid, EachIsAnother) {
  EXPECT_TRUE(isUuid(newUuid()));
  EXPECT_NE(newUuid(), newUuid());
}

TEST(Uuid, NothingElseIsOne) {
  const std::string good = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
  EXPECT_TRUE(isUuid(good));
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = '/';
    EXPECT_FALSE(isUuid(bad)) << bad;
    bad[i] = good[i] == '-' ? 'a' : '-';
    EXPECT_FALSE(isUuid(bad)) << bad;
    bad[i] = 'A';
    EXPECT_FALSE(isUuid(bad)) << bad;
  }
  EXPECT_FALSE(isUuid(""));
  EXPECT_FALSE(isUuid(good + "0"));
  EXPECT_FALSE(isUuid(good.substr(1)));
}

}  // namespace
}  // namespace cove
