// Small pieces: the console's escape key, progress lines, users' names, variables, logs.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cove/caller.h"
#include "cove/command_options.h"
#include "cove/escape_filter.h"
#include "cove/instance_record.h"
#include "cove/log_follower.h"
#include "cove/progress.h"

namespace cove::cli {
namespace {

TEST(EscapeFilter, ThreeInARowLeave) {
  EscapeFilter filter;
  EXPECT_EQ(filter.feed("a\x1d").pass, "a");
  EXPECT_FALSE(filter.feed("\x1d").leave);
  auto end = filter.feed("\x1dz");
  EXPECT_TRUE(end.leave);
  EXPECT_EQ(end.pass, "");
}

TEST(EscapeFilter, FewerArePassedOn) {
  EscapeFilter filter;
  EXPECT_EQ(filter.feed("\x1d\x1d").pass, "");
  EXPECT_EQ(filter.feed("x").pass, "\x1d\x1dx");
  EXPECT_FALSE(filter.feed("\x1d\x1d").leave);
}

TEST(Progress, Text) {
  EXPECT_EQ(progressText("building", 0, 0, 80), "building");
  EXPECT_EQ(progressText("building", 1, 3, 80), "building 1 of 3");
  EXPECT_EQ(progressText("building", 9, 3, 80), "building 3 of 3");
  EXPECT_EQ(progressText("loading", 3 << 19, 80 << 20, 80), "loading 1.5 MiB of 80.0 MiB");
  EXPECT_EQ(progressText("building a thing", 1, 2, 18), "buildin... 1 of 2");
  EXPECT_EQ(progressText("building", 1, 2, 1), "... 1 of 2");
  EXPECT_EQ(progressText("a\x1b[2J\r", 0, 0, 80), "a\\x1b[2J\\x0d");
  EXPECT_EQ(firstProgressText("loading", 80 << 20), "loading, 80.0 MiB in all");
  using std::chrono::seconds;
  EXPECT_EQ(waitingText("starting web", "booting", seconds(2), 80), "starting web: booting");
  EXPECT_EQ(waitingText("starting web", "booting", seconds(12), 80), "starting web: booting (12 s)");
}

TEST(Caller, NamesFitTheGuestsGrammar) {
  EXPECT_EQ(guestUserName("alice"), "alice");
  EXPECT_EQ(guestUserName("Alice.Smith"), "alicesmith");
  EXPECT_EQ(guestUserName("1alice"), "_1alice");
  EXPECT_EQ(guestUserName("-x:0:0"), "_-x00");
  EXPECT_EQ(guestUserName(""), "user");
  EXPECT_EQ(guestUserName("\xc3\xa4"), "user");
  EXPECT_EQ(guestUserName(std::string(99, 'a')).size(), 32u);
}

TEST(Time, IsUtc) {
  EXPECT_EQ(formatTime(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(formatTime(1709164799), "2024-02-28T23:59:59Z");
  EXPECT_EQ(formatTime(1709164800), "2024-02-29T00:00:00Z");
  EXPECT_EQ(formatTime(-1), "1969-12-31T23:59:59Z");
}

TEST(Environment, Entries) {
  EXPECT_EQ(environmentEntry("A=b=c"), "A=b=c");
  EXPECT_EQ(environmentEntry("A="), "A=");
  setenv("COVE_TEST_VALUE", "x y", 1);
  EXPECT_EQ(environmentEntry("COVE_TEST_VALUE"), "COVE_TEST_VALUE=x y");
  unsetenv("COVE_TEST_VALUE");
  EXPECT_EQ(environmentEntry("COVE_TEST_VALUE"), std::nullopt);
  for (std::string bad : {"", "=x", "1A=b", "A B=c"}) EXPECT_THROW(environmentEntry(bad), Error) << bad;
}

class Log : public testing::Test {
 protected:
  Log() { path_ = std::string(mkdtemp(directory_)) + "/log"; }
  ~Log() override {
    unlink(path_.c_str());
    unlink((path_ + ".1").c_str());
    rmdir(directory_);
  }
  void append(std::string_view text) {
    writeAll(openFile(path_, O_WRONLY | O_CREAT | O_APPEND, 0600), text, path_);
  }
  std::string news() {
    std::string text;
    exists_ = follower_->read([&](std::string_view piece) { text += piece; });
    return text;
  }
  char directory_[32] = "/tmp/cove-log-XXXXXX";
  std::string path_;
  std::optional<LogFollower> follower_;
  bool exists_ = false;
};

TEST_F(Log, FollowsRotationAndTruncation) {
  follower_.emplace(path_);
  EXPECT_EQ(news(), "");
  EXPECT_FALSE(exists_);
  append("one\n");
  EXPECT_EQ(news(), "one\n");
  append("two\n");
  EXPECT_EQ(news(), "two\n");
  append("three\n");
  ASSERT_EQ(rename(path_.c_str(), (path_ + ".1").c_str()), 0);
  append("four\n");
  EXPECT_EQ(news(), "three\nfour\n");
  ASSERT_EQ(truncate(path_.c_str(), 0), 0);
  news();
  append("5\n");
  EXPECT_EQ(news(), "5\n");
  ASSERT_EQ(unlink(path_.c_str()), 0);
  news();
  EXPECT_FALSE(exists_);
}

}  // namespace
}  // namespace cove::cli
