#include "machine/network_process.h"

#include <csignal>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <tuple>
#include <unistd.h>

#include "base/contain.h"
#include "base/error.h"
#include "base/privileges.h"
#include "base/seccomp.h"
#include "machine/network_resolver.h"
#include "machine/network_routes.h"
#include "machine/network_stack.h"

namespace cove::network {

namespace {

// What libslirp, glib's and libc's allocators, and the copy of resolv.conf need. No bind and no listen:
// nobody connects to a guest from here. No sendmsg and no recvmsg: no descriptors pass.
constexpr int kCalls[] = {
    SYS_read,         SYS_write,          SYS_close,        SYS_fstat,
    SYS_newfstatat,   SYS_lseek,          SYS_openat,       SYS_fcntl,
    SYS_ioctl,        SYS_ppoll,          SYS_connect,      SYS_sendto,
    SYS_recvfrom,     SYS_recvmmsg,       SYS_shutdown,     SYS_getsockname,
    SYS_getpeername,  SYS_getsockopt,     SYS_setsockopt,   SYS_brk,
    SYS_mmap,         SYS_munmap,         SYS_mremap,       SYS_mprotect,
    SYS_madvise,      SYS_futex,          SYS_getrandom,    SYS_clock_gettime,
    SYS_gettimeofday, SYS_getpid,         SYS_gettid,       SYS_tgkill,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_restart_syscall,
    SYS_exit,         SYS_exit_group,     SYS_renameat,     SYS_renameat2,
#if defined(__x86_64__)
    SYS_open,         SYS_stat,           SYS_lstat,        SYS_poll,
    SYS_rename,       SYS_time,
#endif
};
constexpr int kFamilies[] = {AF_INET, AF_INET6};

void report(const Fd& readiness, const std::string& text) {
  std::string cut = text.substr(0, 2000);
  [[maybe_unused]] ssize_t n = ::write(readiness.get(), cut.data(), cut.size());
}

Containment containment() {
  Containment c;
  c.name = "the guest's network";
  c.keepNetwork = true;
  c.directories = {"/etc"};
  c.writableRoot = true;  // its copy of resolv.conf
  c.rootBytes = 1 << 20;
  c.limits = {{RLIMIT_NOFILE, kMaxDescriptors}, {RLIMIT_MEMLOCK, 0}};
#ifndef COVE_SANITIZED  // sanitizers reserve terabytes
  c.limits.emplace_back(RLIMIT_AS, kMaxMemory);
#endif
  return c;
}

int runInner(Fd frames, Fd readiness, Fd resolver, Fd null) {
  try {
    // First the answer of the outer process, which comes when it has given up what it had.
    ResolverCopy copy(std::move(resolver), "/etc/resolv.conf");
    Stack stack(std::move(frames), HostRoutes(), std::move(copy));
    // libslirp and glib complain about what a guest sends.
    check(::dup3(null.get(), STDERR_FILENO, O_CLOEXEC), "silence", "the network's libraries");
    installAllowlist(kCalls, kFamilies);
    report(readiness, "R");
    readiness.reset();
    stack.run();
    return 0;
  } catch (const std::exception& e) {
    if (readiness) report(readiness, std::string("E") + e.what());
    return 1;
  }
}

// Without privileges, even where it was started with all of them.
void renounce(const Identity& identity, pid_t parent) {
  if (::geteuid() == 0) {
    becomeUser(identity.uid, identity.gid);
    dropCapabilities();
  }
  // A change of credentials cancels it.
  check(::prctl(PR_SET_PDEATHSIG, SIGKILL), "tie", "the process to its parent");
  if (::getppid() != parent) throw Error("the parent process has ended");
  hardenSelf();
}

}  // namespace

int runNetworkProcess(Fd frames, Fd readiness) {
  pid_t parent = ::getppid();
  try {
    Containment c = containment();
    Identity identity = c.identity;
    Fd ours, theirs;
    std::tie(ours, theirs) = makeSocketPair(SOCK_SEQPACKET);
    Fd null = openFile("/dev/null", O_RDWR);
    Child inner = forkContained(
        std::move(c), {frames.get(), readiness.get(), theirs.get(), null.get()}, [&, &theirs = theirs] {
          return runInner(std::move(frames), std::move(readiness), std::move(theirs), std::move(null));
        });
    frames.reset();
    theirs.reset();
    renounce(identity, parent);
    readiness.reset();
    serveResolver(ours);
    Ended ended = inner.wait();
    return ended.signal != 0 ? 128 + ended.signal : ended.status;
  } catch (const std::exception& e) {
    report(readiness, std::string("E") + e.what());
    return 1;
  }
}

}  // namespace cove::network
