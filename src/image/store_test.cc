#include "image/store.h"

#include <atomic>
#include <csignal>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "image/test_support.h"

namespace cove::image {
namespace {
using testing::IsEmpty;
using testing::SizeIs;

TEST_F(StoreTest, CommittedImagesAreFoundNewestFirst) {
  Store store = open();
  add(store, 'a', "0a", 100);
  add(store, 'b', "0b", 200);
  add(store, 'c', "0a", 300);
  auto images = store.list();
  ASSERT_THAT(images, SizeIs(3));
  EXPECT_EQ(images[0].digest, digestOf('c'));
  EXPECT_GT(images[0].size, 0u);
  EXPECT_EQ(store.find("0a")->digest, digestOf('c'));
  EXPECT_EQ(store.find("0b")->manifest.kernelRelease, "6.1.0-1-cloud-amd64");
  EXPECT_FALSE(store.find("0c"));
  EXPECT_THAT(hidden(), IsEmpty());
  openBeneath(store.openDir(digestOf('a')), kRootName, O_RDONLY);
}

TEST_F(StoreTest, SameContentTwiceIsOneImage) {
  Store store = open();
  add(store, 'a', "0a", 100);
  EXPECT_EQ(add(store, 'a', "0a", 200).manifest.builtAt, 100);
  EXPECT_THAT(store.list(), SizeIs(1));
  EXPECT_THAT(hidden(), IsEmpty());
}

TEST_F(StoreTest, DroppedStagingLeavesNothing) {
  Store store = open();
  {
    Staging staging = store.stage();
    fill(staging.dir(), 'a', "0a", 1);
    check(::mkdirat(staging.dir().get(), "sub", 0700), "make", "sub");
    check(::symlinkat("/etc", staging.dir().get(), "link"), "make", "link");
    EXPECT_THAT(hidden(), SizeIs(1));
  }
  EXPECT_THAT(hidden(), IsEmpty());
  EXPECT_THAT(store.list(), IsEmpty());
}

TEST_F(StoreTest, LeftoversOfTheDeadGoThoseOfTheLivingStay) {
  Pipe ready = makePipe();
  Child child = Child::fork([&] {
    Store store = open();
    Staging staging = store.stage();
    fill(staging.dir(), 'a', "0a", 1);
    [[maybe_unused]] ssize_t n = ::write(ready.write.get(), "x", 1);
    ::pause();
    return 0;
  });
  char c;
  ASSERT_EQ(::read(ready.read.get(), &c, 1), 1);
  check(::mkdirat(dir_.get(), ".gone-1", 0700), "make", ".gone-1");
  open();
  EXPECT_THAT(hidden(), SizeIs(1));  // the living one's
  child.signal(SIGKILL);
  child.wait();
  EXPECT_THAT(hidden(), SizeIs(1));
  open();
  EXPECT_THAT(hidden(), IsEmpty());
}

TEST_F(StoreTest, RemoveFreesItAndOnlyIt) {
  Store store = open();
  add(store, 'a', "0a", 1);
  add(store, 'b', "0b", 1);
  Fd root = openBeneath(store.openDir(digestOf('a')), kRootName, O_RDONLY);
  EXPECT_GT(store.remove(digestOf('a')), 0u);
  EXPECT_THAT(store.list(), SizeIs(1));
  EXPECT_THAT(hidden(), IsEmpty());
  EXPECT_EQ(readAll(root, 100, "root"), kRootName);  // who had it open keeps it
  EXPECT_THROW(store.remove(digestOf('a')), Error);
}

TEST_F(StoreTest, OnlyDigestsNameImages) {
  Store store = open();
  for (const char* name : {"..", "", "/etc", ".stage-1", "zz"}) {
    EXPECT_THROW(store.openDir(name), Error) << name;
    EXPECT_THROW(store.remove(name), Error) << name;
  }
  check(::symlinkat("/etc", dir_.get(), digestOf('e').c_str()), "make", "a link");
  EXPECT_THROW(store.openDir(digestOf('e')), Error);
  EXPECT_THAT(store.list(), IsEmpty());
  EXPECT_THROW(store.lockRecipe("../x"), Error);
}

TEST_F(StoreTest, DamagedManifestIsNoImage) {
  Store store = open();
  Image image = add(store, 'a', "0a", 1);
  Fd dir = store.openDir(image.digest);
  ::unlinkat(dir.get(), kManifestName, 0);
  write(dir, kManifestName, "{\"os\": 5}");
  EXPECT_THAT(store.list(), IsEmpty());
}

TEST_F(StoreTest, OneBuilderOfARecipeAtATime) {
  Store one = open(), two = open();
  auto lock = one.lockRecipe("0a");
  EXPECT_TRUE(lock);
  EXPECT_FALSE(two.lockRecipe("0a"));
  EXPECT_TRUE(two.lockRecipe("0b"));
  lock.reset();
  EXPECT_TRUE(two.lockRecipe("0a"));
}

TEST_F(StoreTest, StagingSurvivesConcurrentCleaning) {
  Store store = open();
  std::atomic<bool> stop{false};
  std::jthread cleaner([&] {
    while (!stop) open();
  });
  EXPECT_NO_THROW(for (int i = 0; i < 200; ++i) {
    Staging staging = store.stage();
    write(staging.dir(), "file", "x");
    openBeneath(staging.dir(), "file", O_RDONLY);
  });
  stop = true;
  cleaner.join();
  EXPECT_THAT(hidden(), IsEmpty());
}

TEST_F(StoreTest, DigestDependsOnNamesSizesAndContents) {
  write(dir_, "x", "one");
  write(dir_, "y", "two");
  Fd x = openAt(dir_, "x", O_RDONLY), y = openAt(dir_, "y", O_RDONLY);
  auto digest = [](std::initializer_list<std::pair<const char*, const Fd*>> files) {
    DigestBuilder builder;
    for (auto [name, fd] : files) builder.add(name, *fd);
    return builder.finish();
  };
  std::string first = digest({{"x", &x}, {"y", &y}});
  EXPECT_TRUE(isDigest(first));
  EXPECT_EQ(first, digest({{"x", &x}, {"y", &y}}));
  EXPECT_NE(first, digest({{"y", &x}, {"x", &y}}));
  EXPECT_NE(first, digest({{"x", &x}}));
  EXPECT_FALSE(isDigest(std::string(64, 'g')));
  EXPECT_FALSE(isDigest(first + "0"));
}

}  // namespace
}  // namespace cove::image
