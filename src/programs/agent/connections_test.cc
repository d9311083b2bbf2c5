#include "agent/connections.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace cove::agent {
namespace {
in6_addr address(const char* text) {
  in6_addr result{};
  EXPECT_EQ(::inet_pton(AF_INET6, text, &result), 1) << text;
  return result;
}

TEST(Connections, StayInsideWithItsOwnAddressesOnly) {
  Addresses own = {address("::ffff:10.0.2.15"), address("fec0::15")};
  for (const char* inside : {"::1", "::ffff:127.0.0.1", "::ffff:127.9.9.9", "::ffff:10.0.2.15", "fec0::15"})
    EXPECT_TRUE(staysInside(address(inside), own)) << inside;
  for (const char* outside : {"::ffff:10.0.2.2", "::ffff:9.9.9.9", "fec0::2", "2001:db8::1", "::7f00:1"})
    EXPECT_FALSE(staysInside(address(outside), own)) << outside;
}

}  // namespace
}  // namespace cove::agent
