// A supervisor with fake_qemu.cc in QEMU's place.
#pragma once
#include <functional>
#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <string>

#include "base/error.h"
#include "hypervisor/qemu.h"
#include "machine/supervisor.h"
#include "machine/testing/machine_files.h"
#include "rpc/state_name.h"

namespace cove {

using State = rpc::VmState;

inline SupervisorLimits shortLimits() {
  SupervisorLimits limits;
  limits.start = 3 * kj::SECONDS;
  limits.lease = 1 * kj::SECONDS;
  limits.powerOff = 2 * kj::SECONDS;
  limits.quit = 1 * kj::SECONDS;
  limits.retry = 100 * kj::MILLISECONDS;
  limits.agent = {2 * kj::SECONDS, 3 * kj::SECONDS};
  return limits;
}

class SupervisorTest : public testing::Test {
 protected:
  ~SupervisorTest() noexcept override {}

  void start(const std::string& mode, bool ephemeral = false, SupervisorLimits limits = shortLimits()) {
    start(files_.setup("cove.fake=" + mode, ephemeral), limits);
  }
  void resume(const std::string& mode) {
    start(files_.setup("cove.fake=" + mode, false, true), shortLimits());
  }
  void start(VmSetup setup, SupervisorLimits limits) {
    SupervisorParts parts;
    parts.startMachine = [this](MachineSpec spec, MachineEventHandler onEvent) {
      return startQemu(*io_.lowLevelProvider, io_.unixEventPort, std::move(spec), std::move(onEvent));
    };
    parts.startNetwork = network_;
    parts.openAgentProgram = [] { return openFile("/dev/null", O_RDONLY); };
    parts.started = [] {};
    parts.whenClockSet = [this] {
      auto next = kj::newPromiseAndFulfiller<void>();
      clock_ = kj::mv(next.fulfiller);
      return kj::mv(next.promise);
    };
    supervisor_ = kj::heap<Supervisor>(*io_.lowLevelProvider, io_.unixEventPort, std::move(setup),
                                       std::move(parts), log_, limits);
    running_ = supervisor_->run().eagerlyEvaluate(nullptr);
  }
  // Waits until it is in `state`; what it became instead is told.
  void expectState(State state, kj::Duration limit = 15 * kj::SECONDS) {
    bool late = false;
    auto timer = io_.provider->getTimer().afterDelay(limit).then([&] { late = true; }).fork();
    while (supervisor_->status().now().state != state && !late && !supervisor_->status().now().ended())
      supervisor_->status()
          .changedSince(supervisor_->status().now().serial)
          .exclusiveJoin(timer.addBranch())
          .wait(io_.waitScope);
    EXPECT_STREQ(stateName(supervisor_->status().now().state), stateName(state)) << reason();
  }
  void waitUntil(std::function<bool()> condition, const char* what) {
    for (int i = 0; i < 500 && !condition(); ++i)
      io_.provider->getTimer().afterDelay(20 * kj::MILLISECONDS).wait(io_.waitScope);
    EXPECT_TRUE(condition()) << what;
  }
  std::string console() { return readFile(files_.path() + "/instance/serial.log", 1 << 20); }
  bool logs(const std::string& text) {
    return readFile(files_.path() + "/test.log", 1 << 20).find(text) != std::string::npos;
  }
  const std::string& reason() { return supervisor_->status().now().reason; }
  template <typename T>
  std::string errorOf(kj::Promise<T> promise) {
    try {
      promise.wait(io_.waitScope);
    } catch (...) {
      return currentError().message();
    }
    return "";
  }
  void expectGone() {
    running_.wait(io_.waitScope);
    EXPECT_EQ(supervisor_->status().now().qemuPid, 0);
  }

  kj::AsyncIoContext io_ = kj::setupAsyncIo();
  MachineFiles files_;
  Log log_{files_.logFile(), "test"};
  std::function<Child(Fd)> network_;
  kj::Own<kj::PromiseFulfiller<void>> clock_;
  kj::Own<Supervisor> supervisor_;
  kj::Promise<void> running_ = nullptr;
};

}  // namespace cove
