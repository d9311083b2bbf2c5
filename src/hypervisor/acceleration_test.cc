#include "hypervisor/acceleration.h"

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/contain.h"
#include "base/error.h"
#include "hypervisor/probe_guest.h"
#include "hypervisor/qemu.h"
#include "hypervisor/qemu_command.h"

namespace cove {
namespace {

class AccelerationTest : public testing::Test {
 protected:
  ~AccelerationTest() noexcept override {}
  void SetUp() override {
    char path[] = "/tmp/cove-acceleration-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    path_ = path;
    dir_ = openPrivateDir(path_);
  }
  void TearDown() override {
    ::unlinkat(dir_.get(), "acceleration.json", 0);
    ::rmdir(path_.c_str());
  }
  std::string path_;
  Fd dir_;
  kj::AsyncIoContext io_ = kj::setupAsyncIo();
};

TEST_F(AccelerationTest, TheProbeGuestIsSound) {
  auto qemu = findQemu();
  if (!qemu) GTEST_SKIP() << "no QEMU";
  // Under TCG it must get through: then only KVM can be why it does not under KVM.
  Containment c;
  c.binds = qemuBinds(*qemu, "tcg");
  const std::string_view parts[] = {probeGuest()};
  c.files.push_back({"/probe", makeSealedMemfd("probe", parts)});
  Child::Spec spec;
  spec.argv = {*qemu,
               "-nodefaults",
               "-no-user-config",
               "-machine",
               "q35",
               "-m",
               "64",
               "-display",
               "none",
               "-kernel",
               "/probe",
               "-device",
               "isa-debug-exit,iobase=0xf4,iosize=1"};
  spec.env.emplace();
  Child child = startContained(std::move(c), std::move(spec));
  EXPECT_EQ(child.wait().status, kProbeStatus);
}

TEST_F(AccelerationTest, AnswersWithinItsLimitAndRemembers) {
  auto qemu = findQemu();
  if (!qemu) GTEST_SKIP() << "no QEMU";
  EXPECT_FALSE(knownAcceleration(*qemu, dir_));
  Acceleration first = probeAcceleration(io_.unixEventPort, *qemu, dir_).wait(io_.waitScope);
  EXPECT_TRUE(first.name == "kvm" || first.name == "tcg");
  EXPECT_EQ(first.name == "kvm", first.reason.empty()) << first.reason;
  std::string saved = readAll(openBeneath(dir_, "acceleration.json", O_RDONLY), 4096, "answer");
  EXPECT_NE(saved.find(first.name), std::string::npos);
  auto before = std::chrono::steady_clock::now();
  Acceleration again = probeAcceleration(io_.unixEventPort, *qemu, dir_).wait(io_.waitScope);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(500));
  EXPECT_EQ(again.reason, first.reason);
  auto known = knownAcceleration(*qemu, dir_);
  ASSERT_TRUE(known);
  EXPECT_EQ(known->name, first.name);
  EXPECT_EQ(known->reason, first.reason);
}

TEST_F(AccelerationTest, AnAnswerOfAnotherHostOrForgedIsNotUsed) {
  writeFileAtomic(dir_, "acceleration.json", R"({"host":"another","name":"kvm","reason":"forged"})", 0600);
  auto qemu = findQemu();
  if (!qemu) GTEST_SKIP() << "no QEMU";
  EXPECT_NE(probeAcceleration(io_.unixEventPort, *qemu, dir_).wait(io_.waitScope).reason, "forged");
}

// This program in QEMU's place (main): it hangs where a guest would.
TEST_F(AccelerationTest, AGuestThatDoesNotGetThroughIsKilledInTime) {
  if (auto refusal = kvmRefusal()) GTEST_SKIP() << refusal->reason;
  std::string self = std::filesystem::read_symlink("/proc/self/exe");
  auto before = std::chrono::steady_clock::now();
  Acceleration answer = probeAcceleration(io_.unixEventPort, self, dir_).wait(io_.waitScope);
  auto took = std::chrono::steady_clock::now() - before;
  EXPECT_EQ(answer.name, "tcg");
  EXPECT_NE(answer.reason.find("does not get through its first instructions in 3 s"), std::string::npos)
      << answer.reason;
  EXPECT_NE(answer.reason.find("and complains"), std::string::npos) << answer.reason;
  EXPECT_GE(took, std::chrono::seconds(3));
  EXPECT_LT(took, std::chrono::seconds(20));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "it still runs";
}

TEST_F(AccelerationTest, AMissingQemuIsAnError) {
  EXPECT_ANY_THROW(probeAcceleration(io_.unixEventPort, "/no/such/qemu", dir_).wait(io_.waitScope));
}

}  // namespace
}  // namespace cove

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "-nodefaults") == 0) {
    std::fputs("and complains\n", stderr);
    ::pause();
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
