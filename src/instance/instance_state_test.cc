#include "instance/instance_state.h"

#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"
#include "machine/disk_layers.h"

namespace cove {
namespace {

class InstanceState : public testing::Test {
 protected:
  InstanceState() : root_(::mkdtemp(name_)), dir_(make("instance")) {
    put("disk", "first");
    put("disk.empty", "");
  }
  ~InstanceState() noexcept override { std::filesystem::remove_all(root_); }
  Fd make(const std::string& name) {
    std::filesystem::create_directory(root_ + "/" + name);
    return openFile(root_ + "/" + name, O_RDONLY | O_DIRECTORY);
  }
  void put(const std::string& name, const std::string& text) { writeFileAtomic(dir_, name, text, 0600); }
  void suspend() {
    freezeDisk(dir_);
    put(kSuspendedName, "memory");
  }
  static std::string get(const Fd& dir, const std::string& name) {
    return readAll(openBeneath(dir, name, O_RDONLY), 100, name);
  }
  Fd openStage(const std::string& stage) {
    Fd opened = openBeneath(dir_, stage, O_RDONLY | O_DIRECTORY);
    writeFileAtomic(opened, "disk", "", 0600);
    return opened;
  }
  void snapshot(const std::string& name, int64_t time) {
    std::string stage = makeSnapshotStage(dir_);
    copyState(dir_, openStage(stage));
    Snapshot made;
    made.name = name;
    made.createdAt = time;
    made.accelerator = "tcg";
    placeSnapshot(dir_, stage, made);
  }
  // As applying it prepares it.
  std::string prepare(const std::string& name) {
    std::string stage = makeApplyStage(dir_);
    linkState(openSnapshot(dir_, name), openStage(stage));
    return stage;
  }
  std::string layers() {
    std::string all;
    for (const Fd& layer : openLayers(dir_)) all += readAll(layer, 100, "a layer") + " ";
    return all;
  }

  char name_[32] = "/tmp/cove-state-XXXXXX";
  std::string root_;
  Fd dir_;
};

TEST_F(InstanceState, ACopySharesWhatWasWritten) {
  Fd copy = openStage(makeSnapshotStage(dir_));
  copyState(dir_, copy);
  EXPECT_EQ(get(copy, "layers/0001"), "first");
  EXPECT_EQ(get(dir_, "disk"), "");
  // Nothing was written since: the same layers, and none of nothing.
  Fd second = openStage(makeSnapshotStage(dir_));
  copyState(dir_, second);
  EXPECT_EQ(entriesOf(openBeneath(second, "layers", O_RDONLY | O_DIRECTORY)).size(), 1U);
  EXPECT_EQ(layers(), "first ");
}

// What is in its disk is of a resume that came to nothing.
TEST_F(InstanceState, WithItsMemoryBelongTheLayersAlone) {
  suspend();
  put("disk", "of a failed resume");
  Fd copy = openStage(makeSnapshotStage(dir_));
  copyState(dir_, copy);
  EXPECT_EQ(get(copy, kSuspendedName), "memory");
  EXPECT_EQ(layers(), "first ");
  std::string all;
  for (const Fd& layer : openLayers(copy)) all += readAll(layer, 100, "a layer") + " ";
  EXPECT_EQ(all, "first ");
  forgetSuspended(dir_);
  EXPECT_FALSE(isSuspended(dir_));
  EXPECT_EQ(get(dir_, "disk"), "");
  EXPECT_EQ(layers(), "first ");
}

TEST_F(InstanceState, WhatForgetsItsMemoryHasNoLayerMore) {
  suspend();
  EXPECT_EQ(layers(), "first ");
  forgetSuspended(dir_);
  EXPECT_EQ(get(dir_, "disk"), "first");
  EXPECT_EQ(layers(), "");
}

TEST_F(InstanceState, ACopyOfItsOwnIsAnotherFile) {
  put(kSuspendedName, "memory");
  Fd shared = make("shared"), own = make("own");
  linkState(dir_, shared);
  linkState(dir_, own, true);
  auto inode = [](const Fd& dir) { return statOf(openBeneath(dir, kSuspendedName, O_RDONLY)).st_ino; };
  EXPECT_EQ(inode(shared), inode(dir_));
  EXPECT_NE(inode(own), inode(dir_));
  EXPECT_EQ(get(own, kSuspendedName), "memory");
}

TEST_F(InstanceState, WhatIsNoFileIsNotShared) {
  ASSERT_EQ(::mkfifoat(dir_.get(), kSuspendedName, 0600), 0);
  EXPECT_THROW(suspendedSalt(dir_), Error);
  EXPECT_THROW(linkState(dir_, make("copy")), Error);
  forgetState(dir_);
  ASSERT_EQ(::mkdirat(dir_.get(), "layers", 0700), 0);
  ASSERT_EQ(::mkfifoat(dir_.get(), "layers/0001", 0600), 0);
  EXPECT_THROW(linkState(dir_, make("other")), Error);
}

TEST_F(InstanceState, SnapshotsAreListedByTime) {
  EXPECT_TRUE(listSnapshots(dir_).empty());
  put(kSuspendedName, "memory");
  snapshot("late", 20);
  forgetState(dir_);
  snapshot("early", 10);
  auto found = listSnapshots(dir_);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].name, "early");
  EXPECT_FALSE(found[0].memory);
  EXPECT_EQ(found[1].name, "late");
  EXPECT_TRUE(found[1].memory);
  EXPECT_EQ(found[1].accelerator, "tcg");
  EXPECT_THROW(findSnapshot(dir_, "lat"), Error);
  EXPECT_THROW(findSnapshot(dir_, "../instance"), Error);
}

TEST_F(InstanceState, ANameIsTakenOnce) {
  snapshot("one", 1);
  EXPECT_THROW(snapshot("one", 2), Error);
  EXPECT_EQ(findSnapshot(dir_, "one").createdAt, 1);
  std::string gone = withdrawSnapshot(dir_, "one");
  EXPECT_TRUE(listSnapshots(dir_).empty());
  removeTree(dir_, gone);
}

TEST_F(InstanceState, BecomesWhatItWas) {
  suspend();
  snapshot("one", 1);
  forgetState(dir_);
  put("disk", "second");
  snapshot("two", 2);
  EXPECT_EQ(layers(), "first second ");
  put("disk", "third");
  std::string stage = prepare("one");
  replaceState(dir_, stage, true);
  EXPECT_EQ(layers(), "first ");
  EXPECT_EQ(get(dir_, "disk"), "");
  EXPECT_EQ(get(dir_, kSuspendedName), "memory");
  removeTree(dir_, stage);
  stage = prepare("two");
  replaceState(dir_, stage, false);
  EXPECT_EQ(layers(), "first second ");
  EXPECT_FALSE(isSuspended(dir_));
}

// Killed after any number of its steps, and done again.
TEST_F(InstanceState, BecomesWhatItWasWheneverItIsKilled) {
  suspend();
  snapshot("one", 1);
  for (int killed = 0; killed <= 4; ++killed) {
    put("disk", "written");
    freezeDisk(dir_);
    put("disk", "more");
    put(kSuspendedName, "other memory");
    std::string stage = prepare("one");
    Fd from = openBeneath(dir_, stage, O_RDONLY | O_DIRECTORY);
    auto move = [](const Fd& a, const char* name, const Fd& b, const char* as) {
      ASSERT_EQ(::renameat(a.get(), name, b.get(), as), 0) << name;
    };
    if (killed > 0) move(dir_, "layers", from, "layers.old");
    if (killed > 1) move(from, "layers", dir_, "layers");
    if (killed > 2) move(from, "disk", dir_, "disk");
    if (killed > 3) move(from, "suspended", dir_, "suspended");
    replaceState(dir_, stage, true);
    replaceState(dir_, stage, true);
    EXPECT_EQ(layers(), "first ") << killed;
    EXPECT_EQ(get(dir_, "disk"), "") << killed;
    EXPECT_EQ(get(dir_, kSuspendedName), "memory") << killed;
    removeTree(dir_, stage);
  }
}

TEST_F(InstanceState, WhatIsHalfDoneIsSeenAndCleared) {
  put("suspended.next", "half");
  makeSnapshotStage(dir_);
  requireWhole(dir_);
  std::string stage = makeApplyStage(dir_);
  EXPECT_THROW(requireWhole(dir_), Error);
  clearStages(dir_);
  requireWhole(dir_);
  EXPECT_TRUE(entriesOf(openBeneath(dir_, kSnapshotsName, O_RDONLY | O_DIRECTORY)).empty());
  EXPECT_EQ(::faccessat(dir_.get(), "suspended.next", F_OK, 0), -1);
  EXPECT_EQ(get(dir_, "disk"), "first");
}

}  // namespace
}  // namespace cove
