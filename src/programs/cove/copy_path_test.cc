#include "cove/copy_path.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace cove::cli {
namespace {

TEST(CopyPath, Sides) {
  auto side = CopyPath::parse("web:/etc/hosts");
  EXPECT_EQ(side.instance, "web");
  EXPECT_EQ(side.path, "/etc/hosts");
  EXPECT_EQ(CopyPath::parse("web:").path, "");
  EXPECT_EQ(CopyPath::parse("web:a:b").path, "a:b");
  for (std::string here : {"notes.txt", "./a:b", "/tmp/a:b", "..", "dir/web:x"}) {
    EXPECT_EQ(CopyPath::parse(here).instance, "") << here;
    EXPECT_EQ(CopyPath::parse(here).path, here);
  }
  for (std::string bad : {"", ":x", "Web:x", "a b:x", "..:x", "C:\\x"}) {
    EXPECT_THROW(CopyPath::parse(bad), Error) << bad;
  }
}

TEST(CopyPath, Below) {
  EXPECT_EQ(CopyPath::parse("web:").below("/root"), "/root");
  EXPECT_EQ(CopyPath::parse("web:a/b").below("/root"), "/root/a/b");
  EXPECT_EQ(CopyPath::parse("/x").below("/root"), "/x");
}

TEST(CopyPath, LastComponent) {
  EXPECT_EQ(lastComponent("/a/b"), "b");
  EXPECT_EQ(lastComponent("/a/b///"), "b");
  EXPECT_EQ(lastComponent("/a/b/."), "b");
  EXPECT_EQ(lastComponent("/a/b/../c"), "c");
  EXPECT_EQ(lastComponent("/a/b/.."), "a");
  EXPECT_EQ(lastComponent("/"), "");
}

}  // namespace
}  // namespace cove::cli
