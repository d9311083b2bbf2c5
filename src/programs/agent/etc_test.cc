#include "agent/etc.h"

#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>

#include "base/error.h"

namespace cove::agent {
namespace {

class TemporaryDir : public testing::Test {
 protected:
  TemporaryDir() {
    char path[] = "/tmp/agent_test.XXXXXX";
    if (::mkdtemp(path) == nullptr) throw sysError("make", path);
    path_ = path;
    dir_ = openFile(path_, O_RDONLY | O_DIRECTORY);
  }
  ~TemporaryDir() override { std::filesystem::remove_all(path_); }
  void put(const std::string& name, std::string_view text, mode_t mode) {
    Fd file = openAt(dir_, name, O_WRONLY | O_CREAT | O_TRUNC, mode);
    writeAll(file, text, name);
  }
  std::string path_;
  Fd dir_;
};
using ReplaceFile = TemporaryDir;
using AccountLock = TemporaryDir;

TEST_F(ReplaceFile, KeepsTheModeOfTheOldFile) {
  if (::geteuid() != 0) GTEST_SKIP() << "sets owners, hence root only";
  put("shadow", "old\n", 0640);
  replaceFile(dir_, "shadow", "new\n", 0644);
  EXPECT_EQ(readFileAt(dir_, "shadow"), "new\n");
  EXPECT_EQ(statOf(openAt(dir_, "shadow", O_RDONLY)).st_mode & 07777, 0640u);
  EXPECT_FALSE(std::filesystem::exists(path_ + "/.shadow.cove"));
}

TEST_F(ReplaceFile, DoesNotTouchWhatIsRightAlready) {
  put("hostname", "here\n", 0644);
  ino_t before = statOf(openAt(dir_, "hostname", O_RDONLY)).st_ino;
  replaceFile(dir_, "hostname", "here\n", 0644);
  EXPECT_EQ(statOf(openAt(dir_, "hostname", O_RDONLY)).st_ino, before);
}

TEST_F(ReplaceFile, WritesNothingThroughASymlink) {
  put("victim", "mine\n", 0644);
  std::filesystem::create_symlink("victim", path_ + "/link");
  EXPECT_THROW(replaceFile(dir_, "link", "new\n", 0644), Error);
  EXPECT_EQ(readFileAt(dir_, "victim"), "mine\n");
}

TEST_F(AccountLock, ExcludesAnother) {
  std::optional<Fd> first = lockAccounts(dir_);
  ASSERT_TRUE(first);
  EXPECT_FALSE(lockAccounts(dir_));
  first.reset();
  EXPECT_TRUE(lockAccounts(dir_));
}

TEST(HostName, ReplacesTheLineOfTheOwnAddress) {
  EXPECT_EQ(withHostName("127.0.0.1\tlocalhost\n127.0.1.1 old old.example\n", "new"),
            "127.0.0.1\tlocalhost\n127.0.1.1\tnew\n");
  EXPECT_EQ(withHostName("127.0.1.1 a\n10.0.0.1 b\n127.0.1.1\tc\n", "new"), "127.0.1.1\tnew\n10.0.0.1 b\n");
}

TEST(HostName, IsAddedWhereItIsMissing) {
  EXPECT_EQ(withHostName("127.0.0.1 localhost", "new"), "127.0.0.1 localhost\n127.0.1.1\tnew\n");
  EXPECT_EQ(withHostName("127.0.1.10 x\n", "new"), "127.0.1.10 x\n127.0.1.1\tnew\n");
  EXPECT_EQ(withHostName("", "new"),
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tnew\n");
}

TEST(HostName, IsTheSameWhenSetAgain) {
  std::string once = withHostName("127.0.0.1 localhost\n", "new");
  EXPECT_EQ(withHostName(once, "new"), once);
}

}  // namespace
}  // namespace cove::agent
