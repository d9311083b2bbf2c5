#include "instance/memory_key.h"

#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/error.h"

namespace cove {
namespace {

class MemoryKey : public testing::Test {
 protected:
  MemoryKey() : root_(::mkdtemp(name_)) { ::setenv("COVE_MEMORY_KEY", path().c_str(), 1); }
  ~MemoryKey() noexcept override {
    ::unsetenv("COVE_MEMORY_KEY");
    std::filesystem::remove_all(root_);
  }
  std::string path() const { return root_ + "/deep/er/key"; }

  char name_[32] = "/tmp/cove-key-XXXXXX";
  std::string root_;
};

TEST_F(MemoryKey, IsMadeOnceAndForItsOwnerAlone) {
  StateKey first = newStateKey(), second = newStateKey();
  EXPECT_NE(first.salt, second.salt);
  EXPECT_NE(first.key, second.key);
  EXPECT_EQ(stateKeyOf(first.salt).key, first.key);
  struct stat st {};
  ASSERT_EQ(::stat(path().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
  EXPECT_EQ(st.st_size, 32);
}

TEST_F(MemoryKey, IsNotUsedWhereOthersCanReadIt) {
  StateKey key = newStateKey();
  ASSERT_EQ(::chmod(path().c_str(), 0640), 0);
  EXPECT_THROW(newStateKey(), Error);
  EXPECT_THROW(stateKeyOf(key.salt), Error);
}

TEST_F(MemoryKey, IsNotMadeAnewForWhatAnotherEncrypted) {
  EXPECT_THROW(stateKeyOf(StateSalt{}), Error);
  newStateKey();
  std::filesystem::resize_file(path(), 31);
  EXPECT_THROW(newStateKey(), Error);
  std::filesystem::remove(path());
  std::filesystem::create_symlink("/dev/zero", path());
  EXPECT_THROW(newStateKey(), Error);
}

}  // namespace
}  // namespace cove
