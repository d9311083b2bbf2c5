#include "base/contain.h"

#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

namespace cove {
namespace {

int exitStatusOf(Containment c, const std::function<int()>& body) {
  return forkContained(std::move(c), {}, body).wait().status;
}

bool exists(const char* path) { return ::access(path, F_OK) == 0; }

TEST(Contain, TheRootHoldsOnlyWhatIsListed) {
  Containment c;
  c.binds = {{"/usr/include"}, {"/etc/passwd", "/etc/somebody"}};
  c.directories = {"/run"};
  EXPECT_EQ(exitStatusOf(std::move(c),
                         [] {
                           if (!exists("/usr/include/stdio.h")) return 1;
                           if (!exists("/etc/somebody")) return 2;
                           if (exists("/etc/passwd") || exists("/proc") || exists("/usr/bin")) return 3;
                           if (!exists("/run")) return 4;
                           if (::open("/new", O_CREAT | O_WRONLY, 0600) >= 0) return 5;
                           if (::open("/run/new", O_CREAT | O_WRONLY, 0600) >= 0) return 6;
                           return 0;
                         }),
            0);
}

TEST(Contain, PlacedFilesArePrivateCopies) {
  Fd content = makeMemfd("content");
  writeAll(content, "what was placed", "content");
  Containment c;
  c.files.push_back({"/boot/kernel", std::move(content)});
  EXPECT_EQ(
      exitStatusOf(std::move(c), [] { return readFile("/boot/kernel", 100) == "what was placed" ? 0 : 1; }),
      0);
}

TEST(Contain, NothingWidensIt) {
  EXPECT_EQ(exitStatusOf({},
                         [] {
                           if (::syscall(SYS_unshare, CLONE_NEWUSER) == 0) return 1;
                           if (::mount("none", "/", "tmpfs", 0, nullptr) == 0) return 2;
                           if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0) return 3;
                           if (::syscall(SYS_bpf, 0, nullptr, 0) == 0 || errno != EPERM) return 4;
                           if (::socket(AF_VSOCK, SOCK_STREAM, 0) >= 0) return 5;
                           if (::kill(-1, 0) == 0) return 6;
                           if (::getppid() != 0 || ::getpid() != 1) return 7;
                           if (::setuid(0) == 0 && ::geteuid() == 0) return 8;
                           if (::syscall(SYS_clone3, nullptr, 0) >= 0 || errno != ENOSYS) return 9;
                           char* none[] = {nullptr};
                           if (::execve("/bin/sh", none, none) == 0 || errno != ENOSYS) return 10;
                           return 0;
                         }),
            0);
}

TEST(Contain, TheNetworkIsEmptyUnlessKept) {
  int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Fd owner(listener);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 4), 0);
  socklen_t size = sizeof address;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  auto connects = [address] {
    int s = ::socket(AF_INET, SOCK_STREAM, 0);
    return ::connect(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 1 : 0;
  };
  EXPECT_EQ(exitStatusOf({}, connects), 0);
  Containment kept;
  kept.keepNetwork = true;
  EXPECT_EQ(exitStatusOf(std::move(kept), connects), 1);
}

TEST(Contain, AbstractSocketsOfTheHostAreOutOfReach) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string name = str("cove-contain-test-", ::getpid());
  std::copy(name.begin(), name.end(), address.sun_path + 1);
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(socket.get(), 4), 0);
  auto connects = [&] {
    int s = ::socket(AF_UNIX, SOCK_STREAM, 0);
    return ::connect(s, reinterpret_cast<const sockaddr*>(&address), size) == 0 ? 1 : 0;
  };
  EXPECT_EQ(connects(), 1);
  EXPECT_EQ(exitStatusOf({}, connects), 0);
}

TEST(Contain, OnlyTheListedDescriptorsStay) {
  Pipe kept = makePipe(), closed = makePipe();
  int k = kept.write.get(), n = closed.write.get();
  Child child = forkContained({}, {k}, [k, n] {
    if (::write(k, "x", 1) != 1) return 1;
    return ::write(n, "x", 1) < 0 && errno == EBADF ? 0 : 2;
  });
  EXPECT_EQ(child.wait().status, 0);
}

Containment withPrograms() {
  Containment c;
  c.binds = {{"/usr"}, {"/lib"}, {"/lib64"}, {"/bin"}};
  return c;
}
Child::Spec program(std::vector<std::string> argv) {
  Child::Spec spec;
  spec.argv = std::move(argv);
  spec.env.emplace();
  return spec;
}

TEST(Contain, AProgramIsExecutedExactlyOnce) {
  Pipe out = makePipe();
  Child::Spec spec = program({"/bin/sh", "-c", "echo one; exec /bin/echo two"});
  spec.stdout = std::move(out.write);
  Child child = startContained(withPrograms(), std::move(spec));
  EXPECT_EQ(readAll(out.read, 100, "output"), "one\n");
  EXPECT_EQ(child.wait().status, 126);
}

TEST(Contain, FreeExecAndOwnProcfs) {
  Pipe out = makePipe();
  Containment c = withPrograms();
  c.exec = ExecRule::kFree;
  c.procfs = ProcFs::kAll;
  Child::Spec spec = program({"/bin/sh", "-c", "/bin/true; /bin/ls -d /proc/[0-9]*"});
  spec.stdout = std::move(out.write);
  Child child = startContained(std::move(c), std::move(spec));
  EXPECT_EQ(readAll(out.read, 100, "output").substr(0, 8), "/proc/1\n");
  EXPECT_EQ(child.wait().status, 0);
}

TEST(Contain, FailuresNameTheStep) {
  Containment missing;
  missing.name = "QEMU";
  missing.binds = {{"/no/such/place"}};
  try {
    forkContained(std::move(missing), {}, [] { return 0; });
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "cannot contain QEMU: cannot open /no/such/place: No such file or directory");
  }
  try {
    startContained(withPrograms(), program({"/usr/no-such-program"}));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(),
              "cannot contain program: cannot execute /usr/no-such-program: No such file or directory");
  }
}

TEST(Contain, ItDiesWithItsParent) {
  Pipe identity = makePipe();
  Child parent = Child::fork([&] {
    Child child = forkContained({}, {}, [] {
      ::pause();
      return 0;
    });
    ProcessId id = child.id();
    writeAll(identity.write, {reinterpret_cast<const char*>(&id), sizeof id}, "pipe");
    ::pause();
    return 0;
  });
  identity.write.reset();
  ProcessId id;
  ASSERT_EQ(::read(identity.read.get(), &id, sizeof id), static_cast<ssize_t>(sizeof id));
  auto pidfd = openProcess(id);
  ASSERT_TRUE(pidfd.has_value());
  parent.signal(SIGKILL);
  parent.wait();
  // Its new parent reaps it in its own time; that it runs no more is what counts.
  for (int i = 0; i < 200; ++i) {
    std::string stat;
    try {
      stat = readFile(str("/proc/", id.pid, "/stat"), 4096);
    } catch (const Error&) {
      return;
    }
    if (stat.find(") Z ") != std::string::npos) return;
    ::usleep(10'000);
  }
  FAIL() << "still running";
}

TEST(Contain, AHardenedProcessExecutesAndTracesNothing) {
  Child child = Child::fork([] {
    hardenSelf();
    char* none[] = {nullptr};
    if (::execve("/bin/sh", none, none) == 0 || errno != ENOSYS) return 1;
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0) return 2;
    if (::syscall(SYS_unshare, CLONE_NEWUSER) == 0) return 3;
    return 0;
  });
  EXPECT_EQ(child.wait().status, 0);
}

}  // namespace
}  // namespace cove
