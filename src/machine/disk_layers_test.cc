#include "machine/disk_layers.h"

#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/text.h"

namespace cove {
namespace {

class DiskLayers : public testing::Test {
 protected:
  DiskLayers() : root_(::mkdtemp(name_)), dir_(make("instance")) { put(dir_, kDiskName, "first"); }
  ~DiskLayers() noexcept override { std::filesystem::remove_all(root_); }
  Fd make(const std::string& name) {
    std::filesystem::create_directory(root_ + "/" + name);
    return openFile(root_ + "/" + name, O_RDONLY | O_DIRECTORY);
  }
  static void put(const Fd& dir, const std::string& name, const std::string& text) {
    writeFileAtomic(dir, name, text, 0600);
  }
  void freeze(const std::string& next) {
    put(dir_, kEmptyDiskName, next);
    freezeDisk(dir_);
  }
  static void write(const Fd& file, const std::string& text) {
    ASSERT_EQ(::pwrite(file.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  static std::string disk(const Fd& dir) {
    return readAll(openBeneath(dir, kDiskName, O_RDONLY), 100, "disk");
  }
  static std::string layers(const Fd& dir) {
    std::string all;
    for (const Fd& layer : openLayers(dir)) all += readAll(layer, 100, "a layer") + " ";
    return all;
  }

  char name_[32] = "/tmp/cove-layers-XXXXXX";
  std::string root_;
  Fd dir_;
};

TEST_F(DiskLayers, GrowByEachFreeze) {
  EXPECT_EQ(layers(dir_), "");
  freeze("second");
  freeze("third");
  EXPECT_EQ(layers(dir_), "first second ");
  EXPECT_EQ(disk(dir_), "third");
}

TEST_F(DiskLayers, OutliveWhomTheyWereSharedBy) {
  freeze("second");
  Fd copy = make("copy");
  linkLayers(dir_, copy);
  freeze("third");
  removeTree(openFile(root_, O_RDONLY | O_DIRECTORY), "instance");
  EXPECT_EQ(layers(copy), "first ");
}

TEST_F(DiskLayers, AFreezeThatWasKilledChangesNothing) {
  freeze("second");
  // Before its rename: the disk is a layer, and the disk still.
  ASSERT_EQ(::linkat(dir_.get(), "disk", dir_.get(), "layers/0002", 0), 0);
  EXPECT_EQ(layers(dir_), "first ");
  Fd copy = make("copy");
  linkLayers(dir_, copy);
  EXPECT_EQ(layers(copy), "first ");
  put(dir_, kDiskName, "second, written");  // by another file, which leaves the link to the old one
  EXPECT_EQ(layers(dir_), "first second ");
}

TEST_F(DiskLayers, ASecondFreezeReplacesTheFirst) {
  ASSERT_EQ(::mkdirat(dir_.get(), kLayersName, 0700), 0);
  ASSERT_EQ(::linkat(dir_.get(), "disk", dir_.get(), "layers/0001", 0), 0);
  freeze("second");
  EXPECT_EQ(layers(dir_), "first ");
  EXPECT_EQ(disk(dir_), "second");
}

TEST_F(DiskLayers, WithoutAnEmptyDiskNothingChanges) {
  EXPECT_THROW(freezeDisk(dir_), Error);
  EXPECT_EQ(disk(dir_), "first");
  EXPECT_EQ(layers(dir_), "");
}

TEST_F(DiskLayers, AnEmptyDiskIsAFileOfItsOwn) {
  freeze("empty");
  EXPECT_TRUE(holdsNothing(dir_));
  write(openBeneath(dir_, kDiskName, O_RDWR), "EMPTY");
  EXPECT_FALSE(holdsNothing(dir_));
  put(dir_, "disk.next", "half of one");  // of one that was killed
  emptyDisk(dir_);
  EXPECT_EQ(disk(dir_), "empty");
  EXPECT_TRUE(holdsNothing(dir_));
  EXPECT_EQ(layers(dir_), "first ");
}

TEST_F(DiskLayers, AThawedLayerIsTheDiskAgain) {
  freeze("second");
  freeze("third");
  write(openOwnLayer(dir_), "merged");
  EXPECT_EQ(layers(dir_), "first merged ");
  thawDisk(dir_);
  EXPECT_EQ(disk(dir_), "merged");
  EXPECT_EQ(layers(dir_), "first ");
  thawDisk(dir_);
  EXPECT_EQ(disk(dir_), "first");
  EXPECT_EQ(layers(dir_), "");
  freeze("fourth");
  EXPECT_EQ(layers(dir_), "first ");
}

TEST_F(DiskLayers, WhatOthersHaveOrHadIsNotToBeWritten) {
  EXPECT_FALSE(openOwnLayer(dir_));
  freeze("second");
  EXPECT_TRUE(openOwnLayer(dir_));
  Fd copy = make("copy");
  linkLayers(dir_, copy);
  EXPECT_FALSE(openOwnLayer(dir_));
  EXPECT_FALSE(openOwnLayer(copy));
  freeze("third");
  EXPECT_TRUE(openOwnLayer(dir_));
  protectLayers(dir_);
  EXPECT_FALSE(openOwnLayer(dir_));
}

TEST_F(DiskLayers, AreBounded) {
  for (size_t i = 0; i < kMostLayers; ++i) freeze(std::to_string(i));
  try {
    freeze("more");
    FAIL() << "one more than there may be";
  } catch (const Error& e) {
    EXPECT_NE(e.message().find("can have no more"), std::string::npos) << e.message();
  }
  EXPECT_EQ(openLayers(dir_).size(), kMostLayers);
  EXPECT_EQ(disk(dir_), std::to_string(kMostLayers - 1));
  // One that is suspended has another.
  freezeDisk(dir_, kMostLayers + 1);
  EXPECT_EQ(openLayers(dir_).size(), kMostLayers + 1);
  EXPECT_THROW(freezeDisk(dir_, kMostLayers + 1), Error);
}

TEST_F(DiskLayers, AreForReadingOnly) {
  freeze("second");
  protectLayers(dir_);
  for (const Fd& layer : openLayers(dir_)) EXPECT_EQ(statOf(layer).st_mode & 0777, 0400U);
  EXPECT_EQ(statOf(openBeneath(dir_, kDiskName, O_RDONLY)).st_mode & 0777, 0600U);
}

TEST_F(DiskLayers, ASymlinkIsNoLayer) {
  freeze("second");
  ASSERT_EQ(::symlinkat("/etc/passwd", dir_.get(), "layers/0002"), 0);
  EXPECT_THROW(openLayers(dir_), Error);
}

}  // namespace
}  // namespace cove
