#include "base/fd.h"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/lock.h"
#include "base/log.h"

namespace cove {
namespace {

class Files : public ::testing::Test {
 protected:
  Files() {
    char name[] = "/tmp/cove-fd-XXXXXX";
    path = ::mkdtemp(name);
    dir = openPrivateDir(path);
  }
  ~Files() override { std::filesystem::remove_all(path); }
  std::string path;
  Fd dir;
};

TEST_F(Files, PrivateDirRefusesModesThatLetOthersIn) {
  ::chmod(path.c_str(), 0750);
  try {
    openPrivateDir(path);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(e.message().find("0750"), std::string::npos);
    EXPECT_NE(e.hint().find("chmod 700"), std::string::npos);
  }
}

TEST_F(Files, PrivateDirRefusesASymlink) {
  std::string link = path + "/link";
  ASSERT_EQ(::symlink(path.c_str(), link.c_str()), 0);
  EXPECT_THROW(openPrivateDir(link), Error);
}

TEST_F(Files, BeneathNeverLeavesNorFollows) {
  writeFileAtomic(dir, "inside", "x", 0600);
  ASSERT_EQ(::symlinkat("inside", dir.get(), "link"), 0);
  ASSERT_EQ(::symlinkat("/etc", dir.get(), "out"), 0);
  EXPECT_TRUE(openBeneath(dir, "inside", O_RDONLY));
  EXPECT_THROW(openBeneath(dir, "link", O_RDONLY), Error);
  EXPECT_THROW(openBeneath(dir, "out/passwd", O_RDONLY), Error);
  EXPECT_THROW(openBeneath(dir, "../" + path.substr(5) + "/inside", O_RDONLY), Error);
  EXPECT_THROW(openBeneath(dir, "/etc/passwd", O_RDONLY), Error);
}

TEST_F(Files, AtomicWriteReplacesOrLeavesTheOld) {
  writeFileAtomic(dir, "f", "old", 0640);
  writeFileAtomic(dir, "f", "new", 0600);
  EXPECT_EQ(readFile(path + "/f", 10), "new");
  EXPECT_EQ(statOf(openAt(dir, "f", O_RDONLY)).st_mode & 07777, 0600u);
  // The file system refuses every byte, as a full disk would.
  struct rlimit before, none;
  ::getrlimit(RLIMIT_FSIZE, &before);
  none = before;
  none.rlim_cur = 0;
  ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &none);
  EXPECT_THROW(writeFileAtomic(dir, "f", "lost", 0600), Error);
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(readFile(path + "/f", 10), "new");
  size_t entries = 0;
  for ([[maybe_unused]] auto& entry : std::filesystem::directory_iterator(path)) ++entries;
  EXPECT_EQ(entries, 1u) << "the temporary file is still there";
}

TEST_F(Files, ReadAllIsBounded) {
  writeFileAtomic(dir, "f", std::string(100, 'x'), 0600);
  EXPECT_EQ(readFile(path + "/f", 100).size(), 100u);
  EXPECT_THROW(readFile(path + "/f", 99), Error);
}

TEST_F(Files, SealedMemfdCannotChange) {
  std::string_view parts[] = {"one", "two"};
  Fd file = makeSealedMemfd("test", parts);
  EXPECT_EQ(readAll(file, 10, "test"), "onetwo");
  EXPECT_EQ(::write(file.get(), "x", 1), -1);
  EXPECT_EQ(::ftruncate(file.get(), 1), -1);
  EXPECT_EQ(::mmap(nullptr, 1, PROT_WRITE, MAP_SHARED, file.get(), 0), MAP_FAILED);
}

TEST_F(Files, OnlyOneHoldsALock) {
  auto first = Lock::take(dir, "lock");
  ASSERT_TRUE(first);
  EXPECT_FALSE(Lock::take(dir, "lock"));
  EXPECT_FALSE(Lock::take(dir, "lock", std::chrono::milliseconds{20}));
  first.reset();
  EXPECT_TRUE(Lock::take(dir, "lock"));
}

TEST_F(Files, LogLinesStayOneLineOfJson) {
  Log log(openAt(dir, "log", O_WRONLY | O_CREAT, 0600), "test");
  log.warning("a \"quoted\\\" \n\x1b[2J line");
  std::string line = readFile(path + "/log", 1000);
  EXPECT_NE(line.find(R"("level":"warning","program":"test","msg":"a \"quoted\\\" \\x0a\\x1b[2J line"})"),
            std::string::npos)
      << line;
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST(Fd, MovesAndCloses) {
  Pipe pipe = makePipe();
  int number = pipe.read.get();
  Fd moved = std::move(pipe.read);
  EXPECT_FALSE(pipe.read);  // NOLINT(bugprone-use-after-move): the point of the test
  moved.reset();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_THROW(Fd(-1, "open", "x"), Error);
}

}  // namespace
}  // namespace cove
