// Supervisors with a program in QEMU's place that misbehaves (testing/fake_qemu.cc), in QEMU's containment.
#include "machine/supervisor.h"

#include <arpa/inet.h>
#include <csignal>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"
#include "machine/testing/supervisor_fixture.h"

namespace cove {
namespace {
TEST_F(SupervisorTest, BecomesReadyAndStops) {
  start("good");
  expectState(State::READY);
  const MachineStatus& status = supervisor_->status().now();
  EXPECT_TRUE(status.degraded);
  EXPECT_EQ(status.failedUnits, std::vector<std::string>{"evil\\x1b[2J.service"});
  EXPECT_EQ(status.sshHostKey, "ssh-ed25519 AAAA\\x1b]0;x");
  supervisor_->target(false).wait(io_.waitScope);
  supervisor_->stop(false, 0 * kj::SECONDS).wait(io_.waitScope);
  expectState(State::STOPPED);
  expectGone();
  EXPECT_EQ(errorOf(supervisor_->target(true)), "the machine is stopping");
}

TEST_F(SupervisorTest, AMachineWithoutAHostKeyIsReady) {
  start("no-ssh-key");
  expectState(State::READY);
  EXPECT_EQ(supervisor_->status().now().sshHostKey, "");
  EXPECT_EQ(supervisor_->status().now().agentEpoch, 1U);
}

TEST_F(SupervisorTest, AGuestThatIgnoresPowerOffIsEnded) {
  start("no-poweroff");
  expectState(State::READY);
  supervisor_->stop(false, 500 * kj::MILLISECONDS).wait(io_.waitScope);
  expectState(State::STOPPED);
}

TEST_F(SupervisorTest, AQemuThatDoesNotQuitIsKilled) {
  start("qmp-silent");
  expectState(State::READY);
  supervisor_->stop(true, 0 * kj::SECONDS).wait(io_.waitScope);
  expectState(State::STOPPED);
}

TEST_F(SupervisorTest, DyingAtStartTellsItsLastWords) {
  start("die");
  expectState(State::FAILED);
  EXPECT_NE(reason().find("could not set up \\x1b[31mhost memory"), std::string::npos) << reason();
  EXPECT_EQ(errorOf(supervisor_->target(true)), "the machine failed: " + reason());
}

TEST_F(SupervisorTest, AMissingQemuIsNamed) {
  files_.qemu = "/no/such/qemu";
  start("good");
  expectState(State::FAILED);
  EXPECT_EQ(reason(), "cannot contain QEMU: cannot open /no/such/qemu: No such file or directory");
}

TEST_F(SupervisorTest, AKernelPanicIsTheReason) {
  start("panic");
  expectState(State::FAILED);
  EXPECT_EQ(reason(), "the guest's kernel ended: Kernel panic - not syncing: \\x1b[31mno init");
  expectGone();
}

TEST_F(SupervisorTest, AnAgentThatNeverAnswersHasALimit) {
  start("silent");
  expectState(State::FAILED);
  EXPECT_EQ(reason(), "the guest's agent did not answer within 3 s");
}

TEST_F(SupervisorTest, GarbageAndFloodsOfTheAgentStopNothing) {
  for (const char* mode : {"garbage", "flood"}) {
    start(mode);
    // The supervisor still answers while it is flooded.
    io_.provider->getTimer().afterDelay(1 * kj::SECONDS).wait(io_.waitScope);
    EXPECT_EQ(supervisor_->status().now().state, State::STARTING);
    supervisor_->stop(true, 0 * kj::SECONDS).wait(io_.waitScope);
    expectState(State::STOPPED);
    running_.wait(io_.waitScope);
  }
}

// Each of its sessions ends at once: neither this process nor its log is kept busy.
TEST_F(SupervisorTest, AnAgentThatBreaksEverySessionIsAskedLessAndLess) {
  start("agent-breaks");
  io_.provider->getTimer().afterDelay(2500 * kj::MILLISECONDS).wait(io_.waitScope);
  std::string log = readFile(files_.path() + "/test.log", 1 << 20);
  size_t sessions = 0;
  for (size_t at = 0; (at = log.find("\"warning\"", at)) != std::string::npos; ++at) ++sessions;
  EXPECT_GE(sessions, 2U) << log;
  EXPECT_LE(sessions, 12U) << log;
  supervisor_->stop(true, 0 * kj::SECONDS).wait(io_.waitScope);
  expectState(State::STOPPED);
}

// Two of the endings that it may have: by the machine's, and by the bound on what it may ask.
TEST_F(SupervisorTest, AnAgentThatAsksAndNeverTakesItsAnswers) {
  start("hoard");
  io_.provider->getTimer().afterDelay(300 * kj::MILLISECONDS).wait(io_.waitScope);
  supervisor_->stop(true, 0 * kj::SECONDS).wait(io_.waitScope);
  expectState(State::STOPPED);
  running_.wait(io_.waitScope);

  SupervisorLimits limits = shortLimits();
  limits.start = limits.agent.answer = 60 * kj::SECONDS;
  start("hoard", false, limits);
  auto& timer = io_.provider->getTimer();
  auto logged = [this] { return readFile(files_.path() + "/test.log", 1 << 20).find("took no answer"); };
  for (int i = 0; i < 600 && logged() == std::string::npos; ++i)
    timer.afterDelay(50 * kj::MILLISECONDS).wait(io_.waitScope);
  EXPECT_NE(logged(), std::string::npos);
  supervisor_->stop(true, 0 * kj::SECONDS).wait(io_.waitScope);
}

TEST_F(SupervisorTest, AStalledAgentHangsNobody) {
  start("stall");
  expectState(State::UP);
  supervisor_->target(true).wait(io_.waitScope);
  supervisor_->stop(false, 0 * kj::SECONDS).wait(io_.waitScope);
  expectState(State::STOPPED);
}

TEST_F(SupervisorTest, GarbageInPlaceOfQmpIsAnError) {
  start("qmp-garbage");
  expectState(State::FAILED);
  // Behind it what QEMU complained of, if anything: under a sanitizer the fake one does.
  EXPECT_EQ(reason().find("QEMU broke its protocol: a line is not JSON"), 0U) << reason();
}

TEST_F(SupervisorTest, AFullDiskPausesAndGoesOn) {
  start("disk-full");
  expectState(State::PAUSED);
  EXPECT_NE(reason().find("disk of the host is full"), std::string::npos);
  expectState(State::READY);
  EXPECT_EQ(reason(), "");
}

TEST_F(SupervisorTest, ARebootIsStartingAgain) {
  start("reboot-once");
  expectState(State::READY);
  expectState(State::STARTING);
  expectState(State::READY);
}

TEST_F(SupervisorTest, AShutdownThatTheGuestAnnouncesIsShownAndNoMore) {
  start("says-it-stops");
  expectState(State::READY);
  expectState(State::STOPPING);
  supervisor_->target(false).wait(io_.waitScope);
  supervisor_->stop(false, 0 * kj::SECONDS).wait(io_.waitScope);
  expectState(State::STOPPED);
}

TEST_F(SupervisorTest, AnAnnouncedRebootIsNoEnd) {
  start("says-it-stops-and-reboots");
  expectState(State::STOPPING);
  expectState(State::STARTING);
  expectState(State::READY);
}

TEST_F(SupervisorTest, WithoutALeaseAnEphemeralMachineEnds) {
  start("good", true);
  expectState(State::STOPPED);
}

TEST_F(SupervisorTest, TheEndOfItsLeaseEndsAnEphemeralMachine) {
  start("good", true);
  supervisor_->leaseTaken();
  expectState(State::READY);
  io_.provider->getTimer().afterDelay(1200 * kj::MILLISECONDS).wait(io_.waitScope);
  expectState(State::READY);
  supervisor_->leaseLost();
  expectState(State::STOPPED);
}

TEST_F(SupervisorTest, AKeptMachineOutlivesItsLease) {
  start("good", true);
  supervisor_->leaseTaken();
  expectState(State::READY);
  supervisor_->keep();
  supervisor_->leaseLost();
  io_.provider->getTimer().afterDelay(300 * kj::MILLISECONDS).wait(io_.waitScope);
  expectState(State::READY);
}

TEST_F(SupervisorTest, TheGuestIsToldWhenTheHostsClockWasSet) {
  start("good");
  expectState(State::READY);
  for (int told = 0; told < 2; ++told) {
    size_t before = console().size();
    clock_->fulfill();
    waitUntil([&] { return console().size() > before; }, "it is told");
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    std::string said = console().substr(before);
    ASSERT_TRUE(said.starts_with("clock ")) << said;
    EXPECT_NEAR(std::stod(said.substr(6)) / 1e9, static_cast<double>(now.tv_sec), 5);
  }
}

// It is told the time when it answers.
TEST_F(SupervisorTest, AClockThatIsSetWhileNoAgentAnswersIsNoTrouble) {
  start("silent");
  waitUntil([&] { return clock_.get() != nullptr; }, "it listens");
  clock_->fulfill();
  waitUntil([&] { return logs("the host's clock was set") && clock_->isWaiting(); }, "it listens again");
  EXPECT_EQ(supervisor_->status().now().state, State::STARTING);
  EXPECT_FALSE(logs("setting the guest's clock"));
}

// Of the network's two processes, killed: the other ends too, none stays as a zombie, and it is said.
TEST_F(SupervisorTest, TheEndOfItsNetworkIsSaid) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  for (bool outer : {true, false}) {
    pid_t processes[2] = {};
    network_ = [&](Fd frames) {
      // As cove-network: the outer process waits for the inner one, which dies with it.
      Pipe pids = makePipe();
      Child child = Child::fork([&]() -> int {
        Child inner = Child::fork([]() -> int {
          ::prctl(PR_SET_PDEATHSIG, SIGKILL);
          ::pause();
          return 0;
        });
        pid_t pid = inner.pid();
        ::usleep(50'000);
        writeAll(pids.write, {reinterpret_cast<const char*>(&pid), sizeof pid}, "a pipe");
        inner.wait();
        return 1;
      });
      EXPECT_EQ(::read(pids.read.get(), &processes[1], sizeof(pid_t)), ssize_t{sizeof(pid_t)});
      processes[0] = child.pid();
      frames.reset();
      return child;
    };
    start("good");
    expectState(State::READY);
    ::kill(processes[outer ? 0 : 1], SIGKILL);
    for (int i = 0; i < 100 && (reason().empty() || ::kill(processes[1], 0) == 0); ++i)
      io_.provider->getTimer().afterDelay(20 * kj::MILLISECONDS).wait(io_.waitScope);
    EXPECT_NE(reason().find("until it starts anew: cove restart "), std::string::npos) << reason();
    EXPECT_TRUE(supervisor_->status().now().degraded);
    for (pid_t process : processes) EXPECT_NE(::kill(process, 0), 0) << "it is a zombie";
    EXPECT_NE(readFile(files_.path() + "/test.log", 1 << 20).find("the guest's network ended"),
              std::string::npos);
    supervisor_->stop(true, 0 * kj::SECONDS).wait(io_.waitScope);
    running_.wait(io_.waitScope);
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

// Issue: what runs in QEMU's place reaches nothing of the host.
TEST_F(SupervisorTest, WhatRunsInQemusPlaceReachesNothing) {
  std::string socketPath = files_.path() + "/coved.sock", secret = files_.path() + "/id_ed25519";
  Fd byPath(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      abstract(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(socketPath.begin(), socketPath.end(), address.sun_path);
  ASSERT_EQ(::bind(byPath.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::chmod(socketPath.c_str(), 0777), 0);
  ASSERT_EQ(::listen(byPath.get(), 8), 0);
  std::string name = str("cove-escape-", ::getpid());
  sockaddr_un hidden{};
  hidden.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), hidden.sun_path + 1);
  ASSERT_EQ(::bind(abstract.get(), reinterpret_cast<sockaddr*>(&hidden),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())),
            0);
  ASSERT_EQ(::listen(abstract.get(), 8), 0);
  Fd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in loopback{};
  loopback.sin_family = AF_INET;
  loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(tcp.get(), reinterpret_cast<sockaddr*>(&loopback), sizeof loopback), 0);
  ASSERT_EQ(::listen(tcp.get(), 8), 0);
  socklen_t size = sizeof loopback;
  ::getsockname(tcp.get(), reinterpret_cast<sockaddr*>(&loopback), &size);
  const char* variable = std::getenv("HOME");
  std::string home = variable != nullptr ? variable : "/root";
  Fd key = openFile(secret, O_WRONLY | O_CREAT, 0644);

  start(str("escape socket=", socketPath.c_str(), " abstract=", name.c_str(), " file=", secret.c_str(),
            " file=", home.c_str(), "/.ssh file=", files_.path().c_str(),
            " port=", ntohs(loopback.sin_port)));
  expectState(State::READY);
  std::string report = readFile(files_.path() + "/instance/serial.log", 1 << 20);
  EXPECT_EQ(report.find("REACHED"), std::string::npos) << report;
  EXPECT_NE(report.find("socket denied\r\nabstract denied\r\nfile denied\r\nfile denied\r\nfile "
                        "denied\r\nloopback denied\r\n"),
            std::string::npos)
      << report;
  EXPECT_NE(report.find("end of attempts"), std::string::npos);
}

}  // namespace
}  // namespace cove
