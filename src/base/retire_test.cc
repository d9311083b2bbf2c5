#include "base/retire.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"

namespace cove {
namespace {

constexpr uid_t kSomebody = 54321;

class Retire : public testing::Test {
 protected:
  Retire() {
    char path[] = "/tmp/cove-retire-XXXXXX";
    path_ = ::mkdtemp(path);
    writeAll(openFile(path_ + "/log", O_WRONLY | O_CREAT, 0600), "x", "log");
  }
  ~Retire() override {
    for (const char* name : {"/log", "/new"}) ::unlink((path_ + name).c_str());
    ::rmdir(path_.c_str());
  }

  // As a plain user, and where the tests are root's, as root.
  void inBoth(const std::function<int(const Fd& dir)>& body) {
    for (bool asRoot : {false, true}) {
      if (asRoot && ::geteuid() != 0) continue;
      uid_t owner = asRoot || ::geteuid() != 0 ? ::geteuid() : kSomebody;
      for (const std::string& each : {path_, path_ + "/log"})
        EXPECT_EQ(::chown(each.c_str(), owner, static_cast<gid_t>(-1)), 0);
      Child child = Child::fork([&] {
        if (!asRoot && ::geteuid() == 0 &&
            (::setresgid(kSomebody, kSomebody, kSomebody) != 0 ||
             ::setresuid(kSomebody, kSomebody, kSomebody) != 0))
          return 90;
        ::prctl(PR_SET_DUMPABLE, 1);
        try {
          return body(openFile(path_, O_RDONLY | O_DIRECTORY));
        } catch (const std::exception& e) {
          ::dprintf(2, "%s\n", e.what());
          return 91;
        }
      });
      EXPECT_EQ(child.wait().status, 0) << (asRoot ? "as root" : "as a user");
    }
  }
  std::string path_;
};

TEST_F(Retire, OneDirectoryIsLeft) {
  inBoth([](const Fd& dir) {
    Fd second = dir.duplicate();
    retire(dir);
    if (::access("/etc", F_OK) == 0 || ::access("/proc", F_OK) == 0 || ::access("/tmp", F_OK) == 0) return 1;
    for (const Fd* each : {&dir, static_cast<const Fd*>(&second)}) {
      if (::faccessat(each->get(), "../etc", F_OK, 0) == 0) return 2;
      if (::faccessat(each->get(), "../../../../../../etc", F_OK, 0) == 0) return 3;
      if (readAll(openBeneath(*each, "log", O_RDONLY), 10, "log") != "x") return 4;
    }
    if (::open("/new", O_CREAT | O_WRONLY, 0600) >= 0) return 5;
    writeAll(openBeneath(dir, "new", O_WRONLY | O_CREAT | O_TRUNC, 0600), "y", "new");
    return ::unlinkat(dir.get(), "new", 0) == 0 ? 0 : 6;
  });
}

TEST_F(Retire, NobodyElseIsReached) {
  inBoth([](const Fd& dir) {
    retire(dir);
    for (int family : {AF_UNIX, AF_INET, AF_NETLINK})
      if (::socket(family, SOCK_DGRAM, 0) >= 0) return 1;
    makeSocketPair(SOCK_STREAM);
    if (::kill(::getppid(), 0) == 0 || ::kill(-1, 0) == 0) return 2;
    if (::syscall(SYS_tgkill, ::getppid(), ::getppid(), 0) == 0) return 3;
    if (::syscall(SYS_pidfd_open, ::getppid(), 0) >= 0) return 4;
    if (::ptrace(PTRACE_ATTACH, ::getppid(), nullptr, nullptr) == 0) return 5;
    char* none[] = {nullptr};
    if (::execve("/bin/sh", none, none) == 0) return 6;
    if (::syscall(SYS_unshare, CLONE_NEWUSER) == 0) return 7;
    return 0;
  });
}

TEST_F(Retire, ItsChildrenAreStillItsOwn) {
  inBoth([](const Fd& dir) {
    Child child = Child::fork([] {
      ::pause();
      return 0;
    });
    retire(dir);
    child.signal(SIGKILL);
    return child.wait().signal == SIGKILL ? 0 : 1;
  });
}

TEST_F(Retire, AnotherDirectoryIsRefused) {
  inBoth([](const Fd& dir) {
    Fd other = openFile("/usr", O_PATH | O_DIRECTORY);
    try {
      retire(dir);
      return 1;
    } catch (const Error& e) {
      return e.message().find("is another directory") != std::string::npos ? 0 : 2;
    }
  });
}

TEST_F(Retire, AbortStillEndsIt) {
  Child child = Child::fork([&] {
    retire(openFile(path_, O_RDONLY | O_DIRECTORY));
    std::abort();
    return 0;
  });
  EXPECT_EQ(child.wait().signal, SIGABRT);
}

}  // namespace
}  // namespace cove
