// build() with a builder that takes no time: what is tried here is who builds, who waits, and what is left.
#include "image/build.h"

#include <csignal>
#include <gmock/gmock.h>
#include <kj/async-io.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "image/test_support.h"
#include "rpc/error.h"

namespace cove::image {
namespace {
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class BuildTest : public StoreTest {
 protected:
  BuildTest() : io_(kj::setupAsyncIo()), key_(recipeFor(parseOs("debian:12")).key()) {
    options_.storePath = path_;
    options_.program = path_ + "/builder";
  }

  ~BuildTest() noexcept override {}  // KJ's may throw

  // A shell script in the place of cove-image; its directory is descriptor 4, its progress goes to 5.
  void builder(const std::string& script) {
    Fd file = openAt(dir_, "builder", O_WRONLY | O_CREAT | O_TRUNC, 0700);
    writeAll(file, "#!/bin/sh\nset -e\ncd /proc/self/fd/4\necho run >>" + path_ + "/runs\n" + script,
             "builder");
  }
  // What a good one does; each run gives an image of its own.
  std::string good() {
    write(dir_, "manifest", manifest(key_, ::time(nullptr)).encode());
    return str("echo '1 2 working' >&5; sleep 0.2\n", "cp ", path_.c_str(), "/manifest image.json\n",
               "touch root.img kernel modules.cpio\n", "grep -c run ", path_.c_str(),
               "/runs | awk '{printf \"%064d\", $1}' >digest\n");
  }
  int runs() {
    std::string text = readFile(path_ + "/runs", 1000);
    return static_cast<int>(text.size() / 4);
  }
  kj::Promise<Image> start(Store& store) {
    return build(io_.unixEventPort, io_.provider->getTimer(), store, parseOs("debian:12"), options_,
                 [this](std::string step, uint64_t, uint64_t) { steps_.push_back(std::move(step)); });
  }
  Error failureOf(kj::Promise<Image> promise) {
    try {
      promise.wait(io_.waitScope);
    } catch (...) {
      return currentError();
    }
    throw std::logic_error("no failure");
  }
  void pause(int ms) { io_.provider->getTimer().afterDelay(ms * kj::MILLISECONDS).wait(io_.waitScope); }

  kj::AsyncIoContext io_;
  std::string key_;
  BuildOptions options_;
  std::vector<std::string> steps_;
};

TEST_F(BuildTest, BuildsOnceAndSaysWhatItCosts) {
  builder(good());
  Store store = open();
  Image image = start(store).wait(io_.waitScope);
  EXPECT_EQ(image.manifest.recipeKey, key_);
  ASSERT_THAT(steps_, SizeIs(2));
  EXPECT_THAT(steps_[0], HasSubstr("downloads about"));
  EXPECT_EQ(steps_[1], "working");
  EXPECT_EQ(start(store).wait(io_.waitScope).digest, image.digest);
  EXPECT_EQ(runs(), 1);
  EXPECT_THAT(hidden(), IsEmpty());
}

TEST_F(BuildTest, TwoAtOnceBuildOnce) {
  builder(good());
  Store one = open(), two = open();
  auto first = start(one), second = start(two);
  std::string digest = first.wait(io_.waitScope).digest;
  EXPECT_EQ(second.wait(io_.waitScope).digest, digest);
  EXPECT_EQ(runs(), 1);
}

TEST_F(BuildTest, RebuildMakesANewOne) {
  builder(good());
  Store store = open();
  add(store, 'a', key_, ::time(nullptr) - 1000);
  EXPECT_EQ(start(store).wait(io_.waitScope).digest, digestOf('a'));
  options_.rebuild = true;
  EXPECT_NE(start(store).wait(io_.waitScope).digest, digestOf('a'));
  EXPECT_EQ(runs(), 1);
}

TEST_F(BuildTest, FailureShowsTheLogAndLeavesNothing) {
  builder("touch root.img; echo 'E: Failed to fetch x' >&2; exit 1");
  Store store = open();
  Error e = failureOf(start(store));
  EXPECT_THAT(e.message(), HasSubstr("cannot be reached"));
  EXPECT_THAT(e.hint(), HasSubstr(path_ + "/" + key_ + ".log"));
  EXPECT_THAT(hidden(), IsEmpty());
  builder(good());
  start(store).wait(io_.waitScope);
}

TEST_F(BuildTest, DroppedPromiseEndsTheBuilder) {
  builder("echo $$ >" + path_ + "/pid\ntouch root.img\nexec sleep 100");
  Store store = open();
  {
    auto promise = start(store);
    for (int i = 0; i < 100 && ::access((path_ + "/pid").c_str(), F_OK) != 0; ++i) pause(20);
    EXPECT_THAT(hidden(), SizeIs(1));
  }
  pid_t pid = std::stoi(readFile(path_ + "/pid", 20));
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_THAT(hidden(), IsEmpty());
  EXPECT_TRUE(store.lockRecipe(key_));
}

TEST_F(BuildTest, MirrorMustBeAnAddress) {
  builder(good());
  Store store = open();
  for (const char* mirror : {"file:///etc", "http://x y", "http://x [trusted=yes]", "debian"}) {
    options_.mirror = mirror;
    EXPECT_EQ(failureOf(start(store)).status(), Exit::kUsage) << mirror;
  }
}

TEST(BuildOptions, ComeFromTheEnvironment) {
  const char* environment[] = {"COVE_MIRROR=http://m/debian/", "http_proxy=http://p:1", "HOME=/x", "nonsense",
                               nullptr};
  BuildOptions options = buildOptionsFrom(environment);
  EXPECT_EQ(options.mirror, "http://m/debian");
  EXPECT_THAT(options.environment, testing::ElementsAre("http_proxy=http://p:1"));
}

}  // namespace
}  // namespace cove::image
