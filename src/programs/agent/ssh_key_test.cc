#include "agent/ssh_key.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace cove::agent {
namespace {

const std::string kLine = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJk0bJ4yqmYJ1dGTrM3YJ3xn0f4gV4f5oJ0uWkQ3vJhT";

TEST(PublicKey, LosesItsComment) {
  EXPECT_EQ(parsePublicKey(kLine + " root@guest\n"), kLine);
  EXPECT_EQ(parsePublicKey(kLine + "\n"), kLine);
  EXPECT_EQ(parsePublicKey(kLine), kLine);
}

TEST(PublicKey, NothingElsePasses) {
  std::string shorter = kLine.substr(0, kLine.size() - 1), other = kLine, control = kLine;
  other.replace(0, 11, "ssh-ed25518");
  control[40] = '\n';
  for (const std::string& bad :
       {std::string(), shorter, shorter + " x", kLine + "A", kLine + "\t", other, control, " " + kLine,
        "x\n" + kLine, shorter + "=", kLine.substr(0, 70) + "\x1b[2Jxxxxxxx"})
    EXPECT_THROW(parsePublicKey(bad), Error) << bad;
}

}  // namespace
}  // namespace cove::agent
