// How a suspended machine goes on, with a program in QEMU's place that says what it is told.
#include <cstdlib>
#include <filesystem>
#include <unistd.h>

#include "base/directory.h"
#include "machine/disk_layers.h"
#include "machine/testing/supervisor_fixture.h"

namespace cove {
namespace {

class SupervisorResuming : public SupervisorTest {
 protected:
  // As suspending it leaves it.
  SupervisorResuming() : dir_(openFile(instance_, O_RDONLY | O_DIRECTORY)) {
    writeFileAtomic(dir_, kDiskName, "suspended with this", 0600);
    writeFileAtomic(dir_, kEmptyDiskName, "", 0600);
    freezeDisk(dir_);
  }
  ~SupervisorResuming() noexcept override {}
  bool isSuspended() const { return isThere(dir_, kSuspendedName); }
  std::string disk() const { return readAll(openBeneath(dir_, kDiskName, O_RDONLY), 100, kDiskName); }
  // What the guest would write.
  void write(const std::string& text) {
    Fd disk = openBeneath(dir_, kDiskName, O_WRONLY);
    writeAll(disk, text, kDiskName);
  }
  void expectMerged(bool merged) {
    waitUntil([this] { return console().find("clock ") != std::string::npos; }, "it goes on");
    EXPECT_EQ(openLayers(dir_).size(), merged ? 0U : 1U);
    EXPECT_EQ(disk(), merged ? "suspended with this" : "");
    EXPECT_EQ(supervisor_->status().now().state, State::READY);
  }
  // In that order, whatever else.
  void expectTold(std::initializer_list<const char*> commands) {
    std::string all = console();
    size_t at = 0;
    for (const char* command : commands) {
      size_t found = all.find(std::string(command) + "\r\n", at);
      if (found == std::string::npos) found = all.find(std::string(command) + "\n", at);
      ASSERT_NE(found, std::string::npos) << command << " in " << all;
      at = found + 1;
    }
  }

  std::string instance_ = files_.path() + "/instance";
  Fd dir_;
};

TEST_F(SupervisorResuming, TheDiskIsMergedIntoTheLayerThatIsItsOwn) {
  resume("resume");
  expectState(State::READY);
  EXPECT_FALSE(isSuspended());
  expectMerged(true);
  expectTold(
      {"migrate-incoming", "cont", "stop", "add-fd", "block-commit", "job-complete", "blockdev-del", "cont"});
}

TEST_F(SupervisorResuming, ALayerThatOthersHaveStays) {
  std::filesystem::create_hard_link(instance_ + "/layers/0001", files_.path() + "/a snapshot's");
  resume("resume");
  expectState(State::READY);
  EXPECT_FALSE(isSuspended());
  io_.provider->getTimer().afterDelay(300 * kj::MILLISECONDS).wait(io_.waitScope);
  EXPECT_EQ(openLayers(dir_).size(), 1U);
  EXPECT_EQ(console().find("block-commit"), std::string::npos);
}

TEST_F(SupervisorResuming, WhatCannotBeMergedStays) {
  resume("resume-full");
  expectState(State::READY);
  expectMerged(false);
  EXPECT_TRUE(logs("could not be merged: No space left on device"));
  expectTold({"stop", "block-commit", "cont"});
}

// Its disk may be either of them; on the disk they say the same.
TEST_F(SupervisorResuming, WhoMayHaveMergedDoesNotGoOn) {
  resume("resume-vague");
  expectState(State::FAILED);
  if (HasFailure()) return;  // it goes on
  expectGone();
  EXPECT_EQ(reason(), "its disk could not be merged: QEMU refused job-complete: perhaps");
  EXPECT_FALSE(isSuspended());
  EXPECT_EQ(openLayers(dir_).size(), 1U);
}

TEST_F(SupervisorResuming, ItIsSuspendedWhenItsDiskIsMerged) {
  resume("resume-slowly");
  expectState(State::READY);
  EXPECT_EQ(openLayers(dir_).size(), 1U);
  supervisor_->suspend(StateKey()).wait(io_.waitScope);
  expectState(State::SUSPENDED);
  expectTold({"block-commit", "job-complete", "cont", "standStill", "stop", "migrate"});
  EXPECT_TRUE(isSuspended());
  EXPECT_EQ(openLayers(dir_).size(), 1U);
  EXPECT_EQ(disk(), "");
}

TEST_F(SupervisorResuming, WhatCannotBeFrozenIsNotSuspended) {
  resume("resume");
  expectState(State::READY);
  expectMerged(true);
  std::filesystem::remove(instance_ + "/" + kEmptyDiskName);
  EXPECT_NE(errorOf(supervisor_->suspend(StateKey())).find(kEmptyDiskName), std::string::npos);
  expectState(State::READY);
  EXPECT_FALSE(isSuspended());
  EXPECT_EQ(openLayers(dir_).size(), 0U);
  EXPECT_EQ(disk(), "suspended with this");
}

TEST_F(SupervisorResuming, ItIsStoppedWhileItsDiskIsMerged) {
  resume("resume-slowly");
  waitUntil([this] { return console().find("block-commit") != std::string::npos; }, "it is merged");
  supervisor_->stop(true, 0 * kj::SECONDS).wait(io_.waitScope);
  expectState(State::STOPPED);
  EXPECT_EQ(openLayers(dir_).size(), 1U);
}

TEST_F(SupervisorResuming, NothingIsLostWhereItsAgentDoesNotAnswer) {
  resume("resume-silent");
  expectState(State::FAILED);
  EXPECT_EQ(reason(), "the guest's agent did not answer within 3 s");
  expectGone();
  EXPECT_TRUE(isSuspended());
  write("of that attempt");
  resume("resume-full");
  expectState(State::READY);
  expectMerged(false);
}

TEST_F(SupervisorResuming, NothingIsLostWhereItIsKilledOrStopped) {
  for (bool kill : {true, false}) {
    resume("resume-silent");
    waitUntil([this] { return console().find("cont") != std::string::npos; }, "it goes on");
    write("of that attempt");
    if (kill)
      ::kill(supervisor_->status().now().qemuPid, SIGKILL);
    else
      supervisor_->stop(true, 0 * kj::SECONDS).wait(io_.waitScope);
    expectGone();
    EXPECT_TRUE(isSuspended());
    std::filesystem::remove(instance_ + "/serial.log");
  }
  resume("resume");
  expectState(State::READY);
  expectMerged(true);
}

TEST_F(SupervisorResuming, WhatRestartsBeforeItAnswersIsNotBooted) {
  resume("resume-resets");
  expectState(State::FAILED);
  EXPECT_EQ(reason(), "the machine ended, or restarted, before its agent answered");
  EXPECT_TRUE(isSuspended());
}

}  // namespace
}  // namespace cove
