#include "target/spawn.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

#if !defined(__x86_64__)
#error "cloneOnto() knows the system call convention of x86_64 only"
#endif

namespace cove {

namespace {
constexpr size_t kStackSize = 16 * 1024;  // of the child

// What the child reads, all of it prepared, and what it leaves behind: they share memory until it executes.
struct Child {
  const SpawnOptions* options;
  std::vector<std::string> candidates;  // paths to try, in order
  std::vector<char*> argv;              // one free place in front, for the shell of a script without "#!"
  std::vector<char*> environment;
  std::vector<gid_t> groups;
  const std::vector<int>* ignored;  // signals
  const char* failedAt = nullptr;
  int error = 0;
};

// Runs on a stack of its own in our memory: system calls only, and no libc function that keeps state, locks
// or signals other threads (setuid() of libc does).
__attribute__((no_sanitize("address", "thread", "undefined"))) int fail(Child* child, const char* step) {
  child->error = errno;
  child->failedAt = step;
  ::_exit(127);
}

__attribute__((no_sanitize("address", "thread", "undefined"))) void becomeUser(Child* child) {
  const User& user = *child->options->user;
  if (::syscall(SYS_setgroups, child->groups.size(), child->groups.data()) < 0)
    fail(child, "take the groups of");
  if (::syscall(SYS_setresgid, user.gid, user.gid, user.gid) < 0) fail(child, "take the group of");
  if (::syscall(SYS_setresuid, user.uid, user.uid, user.uid) < 0) fail(child, "become");
}

// The kernel changes the child's alone, though we share memory, because it is a vfork child (__set_oom_adj).
__attribute__((no_sanitize("address", "thread", "undefined"))) void resetOomScore(Child* child) {
  long file = ::syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
  if (file < 0 || ::syscall(SYS_write, file, "0", 1) != 1) fail(child, "reset the OOM score of");
}

__attribute__((no_sanitize("address", "thread", "undefined"))) void execute(Child* child) {
  bool denied = false;
  errno = ENOENT;  // without candidates
  for (const std::string& path : child->candidates) {
    // Finding out by executing costs ten times as much.
    if (child->candidates.size() > 1 && ::syscall(SYS_faccessat, AT_FDCWD, path.c_str(), F_OK) < 0 &&
        (errno == ENOENT || errno == ENOTDIR))
      continue;
    ::syscall(SYS_execve, path.c_str(), child->argv.data() + 1, child->environment.data());
    if (errno == ENOEXEC) {  // a script without "#!", as every shell runs it
      child->argv[0] = const_cast<char*>("/bin/sh");
      child->argv[1] = const_cast<char*>(path.c_str());
      ::syscall(SYS_execve, "/bin/sh", child->argv.data(), child->environment.data());
    }
    if (errno == EACCES)
      denied = true;
    else if (errno != ENOENT && errno != ENOTDIR)
      break;
  }
  if (denied && (errno == ENOENT || errno == ENOTDIR)) errno = EACCES;
  fail(child, "execute");
}

__attribute__((no_sanitize("address", "thread", "undefined"))) int run(void* argument) {
  auto child = static_cast<Child*>(argument);
  const SpawnOptions& options = *child->options;
  // The kernel has reset the signals with a handler (CLONE_CLEAR_SIGHAND), none of which may run here.
  struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    unsigned long mask;
  } normal{};
  for (int signal : *child->ignored) ::syscall(SYS_rt_sigaction, signal, &normal, nullptr, 8);
  unsigned long none = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, 8);
  ::syscall(SYS_setsid);
  for (auto [from, to] : {std::pair{options.stdin, 0}, {options.stdout, 1}, {options.stderr, 2}})
    if (::syscall(SYS_dup2, from, to) < 0) fail(child, "give descriptors to");
  ::syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
  if (options.terminal && ::syscall(SYS_ioctl, 0, TIOCSCTTY, 0) < 0) fail(child, "give a terminal to");
  ::syscall(SYS_umask, 022);
  if (options.resetOomScore) resetOomScore(child);
  if (options.user) becomeUser(child);
  if (::syscall(SYS_chdir, options.workdir.c_str()) < 0 &&
      (options.workdirElse.empty() || ::syscall(SYS_chdir, options.workdirElse.c_str()) < 0))
    fail(child, nullptr);
  execute(child);
  return 127;
}

// clone3(2) with a stack: the child begins in `entry`. CLONE_VFORK: returns when it has executed or ended.
long cloneOnto(clone_args& arguments, int (*entry)(void*), void* argument) {
  long result;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %[argument], %%rdi\n\t"
      "call *%[entry]\n\t"
      "ud2\n"
      "1:"
      : "=a"(result)
      : "a"(SYS_clone3), "D"(&arguments), "S"(sizeof arguments), [entry] "r"(entry), [argument] "r"(argument)
      : "rcx", "r11", "memory");
  return result;
}

class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

std::vector<int> ignoredSignals() {
  std::vector<int> ignored;
  for (int signal = 1; signal < SIGRTMIN; ++signal) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) ignored.push_back(signal);
  }
  return ignored;
}

std::vector<std::string> candidatesFor(const SpawnOptions& options) {
  const std::string& name = options.program.empty() ? options.argv.at(0) : options.program;
  if (name.find('/') != std::string::npos) return {name};
  std::vector<std::string> candidates;
  if (name.empty()) return candidates;
  std::string_view path;
  for (const std::string& entry : options.environment)
    if (entry.starts_with("PATH=")) path = std::string_view(entry).substr(5);
  while (!path.empty()) {
    size_t at = path.find(':');
    std::string_view directory = path.substr(0, at);
    if (!directory.empty()) candidates.push_back(str(std::string(directory).c_str(), "/", name.c_str()));
    if (at == std::string_view::npos) break;
    path.remove_prefix(at + 1);
  }
  return candidates;
}

void addAll(std::vector<char*>& pointers, const std::vector<std::string>& strings) {
  for (const std::string& each : strings) pointers.push_back(const_cast<char*>(each.c_str()));
  pointers.push_back(nullptr);
}

// What is wrong with the command itself. Every other failure is thrown.
NotSpawned explain(const Child& child) {
  const SpawnOptions& options = *child.options;
  const std::string& name = options.program.empty() ? options.argv.at(0) : options.program;
  if (child.failedAt == nullptr) throw sysError("enter", options.workdir, child.error);
  if (std::strcmp(child.failedAt, "execute") != 0)
    throw sysError(child.failedAt, options.user ? options.user->name : name, child.error);
  bool missing = child.error == ENOENT || child.error == ENOTDIR || child.error == 0;
  if (missing) return {false, name + ": command not found"};
  return {true, sysError("execute", name, child.error).message()};
}
}  // namespace

Spawned spawn(const SpawnOptions& options) {
  // Programs ignore signals when they begin (KJ's event loop does), so once is enough to ask.
  static const std::vector<int> ignored = ignoredSignals();
  Child child{&options, candidatesFor(options), {nullptr}, {}, {}, &ignored};
  addAll(child.argv, options.argv);
  addAll(child.environment, options.environment);
  if (options.user) child.groups = groupsOf(*options.user);

  alignas(16) std::array<std::byte, kStackSize> stack;  // left uninitialized
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  arguments.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<uint64_t>(stack.data());
  arguments.stack_size = kStackSize;
  if (options.cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(options.cgroup);
  }
  long pid;
  {
    AllSignalsBlocked blocked;
    pid = cloneOnto(arguments, run, &child);
  }
  if (pid < 0) throw sysError("start", options.argv.at(0), static_cast<int>(-pid));
  Spawned spawned{static_cast<pid_t>(pid), Fd(pidfd), std::nullopt};
  if (child.failedAt != nullptr || child.error != 0) {
    int status;
    while (::waitpid(spawned.pid, &status, 0) < 0 && errno == EINTR) {
    }
    spawned.failure = explain(child);
  }
  return spawned;
}

}  // namespace cove
