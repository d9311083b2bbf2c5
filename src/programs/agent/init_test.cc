#include "agent/init.h"

#include <gtest/gtest.h>

namespace cove::agent {
namespace {

TEST(MachineId, IsThirtyTwoHexDigits) {
  EXPECT_FALSE(isUnsetMachineId("0123456789abcdef0123456789abcdef\n"));
  EXPECT_FALSE(isUnsetMachineId("0123456789abcdef0123456789abcdef"));
  for (const char* unset : {"", "\n", "uninitialized\n", "0123456789abcdef0123456789abcde\n",
                            "0123456789ABCDEF0123456789ABCDEF\n", "0123456789abcdef0123456789abcdef0\n"})
    EXPECT_TRUE(isUnsetMachineId(unset)) << unset;
}

}  // namespace
}  // namespace cove::agent
