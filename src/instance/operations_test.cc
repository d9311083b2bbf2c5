// Create and delete with the real tools, killed before and after every step.
#include "instance/operations.h"

#include <csignal>
#include <dirent.h>
#include <kj/async-io.h>
#include <unistd.h>

#include "base/directory.h"
#include "journal/test_support.h"

namespace cove {
namespace {

InstanceRecord sampleRecord() {
  InstanceRecord record;
  record.id = "11111111-2222-3333-4444-555555555555";
  record.spec.name = "web";
  record.spec.os = "debian:12";
  record.spec.diskBytes = 1 << 30;
  record.image = "digest";
  record.createdAt = 1;
  return record;
}

// What one daemon has.
struct OneDaemon {
  explicit OneDaemon(const TemporaryState& state)
      : io(kj::setupAsyncIo()), database(state.dir()), operations(io.unixEventPort, state.dir(), records) {}
  void recover() {
    for (auto& interrupted : journal.interrupted())
      journal.recover(interrupted, operations.rebuild(interrupted)).wait(io.waitScope);
  }
  void perform(Operation operation) { journal.perform(std::move(operation)).wait(io.waitScope); }

  kj::AsyncIoContext io;
  Database database;
  Records records{database};
  Log log{openFile("/dev/null", O_WRONLY), "test"};
  Journal journal{database, log};
  InstanceOperations operations;
};

Ended inDaemon(const TemporaryState& state, const std::function<void(OneDaemon&)>& body) {
  return Child::fork([&] {
           OneDaemon daemon(state);
           body(daemon);
           return 0;
         })
      .wait();
}

// The process dies as it enters step `point / 2`, or after it.
Operation dyingAt(Operation operation, size_t point) {
  for (size_t i = 0; i < operation.steps.size(); ++i) {
    auto run = operation.steps[i].run;
    operation.steps[i].run = [run, i, point]() -> kj::Promise<void> {
      if (point == 2 * i) ::kill(::getpid(), SIGKILL);
      return run().then([i, point] {
        if (point == 2 * i + 1) ::kill(::getpid(), SIGKILL);
      });
    };
  }
  return operation;
}

std::vector<std::string> strangers(const TemporaryState& state) {
  std::vector<std::string> names;
  DIR* dir = ::opendir(state.dir().path.c_str());
  while (const dirent* entry = ::readdir(dir)) {
    std::string name = entry->d_name;
    if (name != "." && name != ".." && name.rfind("cove.db", 0) != 0) names.push_back(name);
  }
  ::closedir(dir);
  return names;
}

TEST(Operations, CreateMakesWhatItSays) {
  TemporaryState state;
  OneDaemon daemon(state);
  daemon.perform(daemon.operations.create(sampleRecord()));
  EXPECT_TRUE(daemon.records.find("web"));
  struct stat st;
  ASSERT_EQ(::stat(state.path("web/key").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
  std::string key = readFile(state.path("web/key.pub"), 1000);
  EXPECT_THAT(key, testing::StartsWith("ssh-ed25519 "));
  EXPECT_THAT(key, testing::EndsWith(" cove-web\n"));
  std::string disk = capture({"qemu-img", "info", "--output=json", state.path("web/disk")});
  EXPECT_THAT(disk, testing::HasSubstr("\"virtual-size\": 1073741824"));
  EXPECT_THAT(disk, testing::Not(testing::HasSubstr("backing")));
}

TEST(Operations, KilledCreateLeavesNothing) {
  for (size_t point = 0; point < 10; ++point) {
    TemporaryState state;
    Ended ended = inDaemon(
        state, [&](OneDaemon& s) { s.perform(dyingAt(s.operations.create(sampleRecord()), point)); });
    ASSERT_EQ(ended.signal, SIGKILL) << point;
    EXPECT_TRUE(inDaemon(state, [](OneDaemon& s) { s.recover(); }).ok()) << point;
    EXPECT_THAT(strangers(state), testing::IsEmpty()) << point;
    OneDaemon daemon(state);
    EXPECT_FALSE(daemon.records.find("web")) << point;
    daemon.perform(daemon.operations.create(sampleRecord()));  // the name is free again
  }
}

InstanceRecord recordFromSaved() {
  InstanceRecord record = sampleRecord();
  record.spec.ephemeral = record.spec.fromSaved = true;
  return record;
}

Operation createFromSaved(OneDaemon& daemon) {
  InstanceOperations::WriteDisk write = [](const Fd& disk) { writeAll(disk, "a qcow2", "disk"); };
  return daemon.operations.createFromSaved(recordFromSaved(), write);
}

TEST(Operations, CreateFromSavedTakesItsDisk) {
  TemporaryState state;
  OneDaemon daemon(state);
  daemon.perform(createFromSaved(daemon));
  EXPECT_TRUE(daemon.records.find("web")->spec.fromSaved);
  EXPECT_EQ(readFile(state.path("web/disk"), 1000), "a qcow2");
  EXPECT_FALSE(isThere(daemon.operations.openDir("web"), "key"));
  daemon.perform(daemon.operations.remove(recordFromSaved()));
  EXPECT_THAT(strangers(state), testing::IsEmpty());
}

TEST(Operations, KilledCreateFromSavedLeavesNothing) {
  for (bool flushed : {true, false}) {
    for (size_t point = 0; point < 4; ++point) {
      TemporaryState state;
      Ended ended = inDaemon(state, [&](OneDaemon& s) { s.perform(dyingAt(createFromSaved(s), point)); });
      ASSERT_EQ(ended.signal, SIGKILL) << point;
      // What a power failure makes of a file that was not flushed.
      if (!flushed && point == 3) {
        ASSERT_EQ(::truncate(state.path("web/id").c_str(), 0), 0);
      }
      EXPECT_TRUE(inDaemon(state, [](OneDaemon& s) { s.recover(); }).ok()) << point;
      EXPECT_THAT(strangers(state), testing::IsEmpty()) << point;
    }
  }
}

TEST(Operations, CreateLeavesAForeignDirectoryAlone) {
  TemporaryState state;
  ASSERT_EQ(::mkdir(state.path("web").c_str(), 0700), 0);
  OneDaemon daemon(state);
  EXPECT_THROW(daemon.perform(daemon.operations.create(sampleRecord())), kj::Exception);
  EXPECT_THAT(strangers(state), testing::ElementsAre("web"));
  EXPECT_FALSE(daemon.records.find("web"));
  EXPECT_THAT(daemon.journal.interrupted(), testing::IsEmpty());
}

TEST(Operations, KilledCreateLeavesAForeignDirectoryAlone) {
  for (size_t point = 0; point < 9; ++point) {
    TemporaryState state;
    Ended ended = inDaemon(
        state, [&](OneDaemon& s) { s.perform(dyingAt(s.operations.create(sampleRecord()), point)); });
    ASSERT_EQ(ended.signal, SIGKILL) << point;
    ASSERT_EQ(::mkdir(state.path("web").c_str(), 0700), 0) << point;
    EXPECT_TRUE(inDaemon(state, [](OneDaemon& s) { s.recover(); }).ok()) << point;
    EXPECT_THAT(strangers(state), testing::ElementsAre("web")) << point;
  }
}

TEST(Operations, KilledDeleteIsFinished) {
  for (size_t point = 0; point < 4; ++point) {
    TemporaryState state;
    inDaemon(state, [](OneDaemon& s) { s.perform(s.operations.create(sampleRecord())); });
    Ended ended = inDaemon(
        state, [&](OneDaemon& s) { s.perform(dyingAt(s.operations.remove(sampleRecord()), point)); });
    ASSERT_EQ(ended.signal, SIGKILL) << point;
    EXPECT_TRUE(inDaemon(state, [](OneDaemon& s) { s.recover(); }).ok()) << point;
    EXPECT_THAT(strangers(state), testing::IsEmpty()) << point;
  }
}

TEST(Operations, DroppedCreateLeavesNothing) {
  TemporaryState state;
  OneDaemon daemon(state);
  {
    auto promise = daemon.journal.perform(daemon.operations.create(sampleRecord()));
    promise.poll(daemon.io.waitScope);
  }
  EXPECT_THAT(strangers(state), testing::IsEmpty());
  EXPECT_THAT(daemon.journal.interrupted(), testing::IsEmpty());
}

}  // namespace
}  // namespace cove
