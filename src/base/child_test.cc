#include "base/child.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

namespace cove {
namespace {

TEST(Child, ReportsStatusAndSignal) {
  auto end = [](const char* script) {
    Child::Spec spec;
    spec.argv = {"sh", "-c", script};
    return Child::start(std::move(spec)).wait();
  };
  EXPECT_EQ(end("exit 3").status, 3);
  EXPECT_EQ(end("kill -9 $$").signal, SIGKILL);
}

TEST(Child, MissingProgramIsAnErrorOfStart) {
  Child::Spec spec;
  spec.argv = {"/nonexistent/program"};
  EXPECT_THROW(Child::start(std::move(spec)), Error);
}

TEST(Child, OneThatNobodyReapedHasEnded) {
  Child child = Child::fork([] { return 0; });
  ProcessId id = child.id();
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(openProcess(id));
}

TEST(Child, GivesExactlyTheDescriptorsNamed) {
  Pipe out = makePipe();
  Pipe extra = makePipe();
  Child::Spec spec;
  spec.argv = {"sh", "-c", "cd /proc/self/fd; echo *; echo through >&7"};
  spec.stdout = std::move(out.write);
  spec.fds.emplace_back(7, std::move(extra.write));
  Child child = Child::start(std::move(spec));
  std::string seen = readAll(out.read, 100, "stdout");
  EXPECT_EQ(child.wait().status, 0);
  EXPECT_EQ(seen, "0 1 2 3 7\n") << "3 is the directory that the shell lists";
}

TEST(Child, DestructorEndsIt) {
  ProcessId id;
  {
    Child::Spec spec;
    spec.argv = {"sleep", "100"};
    Child child = Child::start(std::move(spec));
    id = child.id();
    EXPECT_TRUE(openProcess(id));
    EXPECT_FALSE(openProcess({id.pid, id.startTime + 1})) << "another process with that number";
  }
  EXPECT_FALSE(openProcess(id));
}

TEST(Child, CaptureFailsWithTheReasonGiven) {
  EXPECT_EQ(capture({"printf", "a b"}), "a b");
  try {
    capture({"sh", "-c", "echo because >&2; exit 4"});
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(e.message().find("because"), std::string::npos);
    EXPECT_NE(e.message().find("exit status 4"), std::string::npos);
  }
  EXPECT_THROW(capture({"head", "-c", "100", "/dev/zero"}, 50), Error);
}

}  // namespace
}  // namespace cove
