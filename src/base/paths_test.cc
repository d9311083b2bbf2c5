#include "base/paths.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

namespace cove {
namespace {

using testing::HasSubstr;

class Paths : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/cove-paths-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    dir_ = path;
    for (const char* name : {"COVE_HOME", "HOME", "XDG_RUNTIME_DIR"}) ::unsetenv(name);
  }
  void TearDown() override { [[maybe_unused]] int status = std::system(("rm -rf " + dir_).c_str()); }
  static mode_t modeOf(const std::string& path) {
    struct stat st;
    return ::lstat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
  }
  static std::string messageOf(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& e) {
      return e.message();
    }
    return "no error";
  }
  std::string dir_;
};

TEST_F(Paths, StateDirectoryIsMadePrivate) {
  ::setenv("COVE_HOME", (dir_ + "/state/").c_str(), 1);
  StateDir state = openStateDir();
  EXPECT_EQ(state.path, dir_ + "/state");
  EXPECT_EQ(modeOf(state.path), 0700U);
  EXPECT_EQ(openStateDir().id, state.id);
}

TEST_F(Paths, StateDirectoryOpenToOthersIsRefused) {
  ::chmod(dir_.c_str(), 0750);
  EXPECT_THAT(messageOf([&] { openStateDir(dir_); }), HasSubstr("its mode is 0750"));
}

TEST_F(Paths, StateDirectoryOfAnotherIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  ASSERT_EQ(::chown(dir_.c_str(), 12345, 12345), 0);
  EXPECT_THAT(messageOf([&] { openStateDir(dir_); }), HasSubstr("belongs to uid 12345"));
}

TEST_F(Paths, StateDirectoryBehindSymlinkIsRefused) {
  ASSERT_EQ(::symlink("/tmp", (dir_ + "/link").c_str()), 0);
  EXPECT_THAT(messageOf([&] { openStateDir(dir_ + "/link"); }), HasSubstr("cannot open"));
}

TEST_F(Paths, RelativeCoveHomeIsRefused) {
  ::setenv("COVE_HOME", "state", 1);
  EXPECT_THAT(messageOf([] { stateDirPath(); }), HasSubstr("not absolute"));
}

TEST_F(Paths, HomeOfAnotherUserIsIgnored) {
  ::setenv("HOME", dir_.c_str(), 1);
  EXPECT_EQ(stateDirPath(), dir_ + "/.cove");
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  ASSERT_EQ(::chown(dir_.c_str(), 12345, 12345), 0);
  EXPECT_EQ(stateDirPath(), "/root/.cove");
}

TEST_F(Paths, RuntimeDirectoryOfTheSessionIsUsedWherePrivate) {
  ::setenv("XDG_RUNTIME_DIR", dir_.c_str(), 1);
  EXPECT_EQ(openRuntimeDir().path, dir_ + "/cove");
  EXPECT_EQ(modeOf(dir_ + "/cove"), 0700U);
  ::chmod(dir_.c_str(), 0755);
  EXPECT_NE(openRuntimeDir().path, dir_ + "/cove");
}

TEST_F(Paths, RuntimeDirectoryOpenToOthersIsRefused) {
  ::setenv("XDG_RUNTIME_DIR", dir_.c_str(), 1);
  openRuntimeDir();
  ::chmod((dir_ + "/cove").c_str(), 0777);
  EXPECT_THAT(messageOf([] { openRuntimeDir(); }), HasSubstr("not a private directory"));
}

TEST_F(Paths, EachStateDirectoryHasItsSocketName) {
  StateDir a = openStateDir(dir_ + "/a"), b = openStateDir(dir_ + "/b");
  EXPECT_NE(socketName(a), socketName(b));
  EXPECT_EQ(socketName(a), socketName(openStateDir(dir_ + "/../" + dir_.substr(5) + "/a")));
}

TEST_F(Paths, MissingProgramSaysWhereItWasSought) {
  EXPECT_THAT(messageOf([] { programPath("cove-no-such-program"); }), HasSubstr("looked in /"));
  EXPECT_THAT(programPath("base_test"), HasSubstr("/base_test"));
}

}  // namespace
}  // namespace cove
