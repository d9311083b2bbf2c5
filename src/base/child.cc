#include "base/child.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {

// fork(2) that also gives a pidfd and takes namespace flags.
pid_t cloneProcess(unsigned long flags, Fd& pidfd) {
  int fd = -1;
  clone_args args{};
  args.flags = flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uintptr_t>(&fd);
  args.exit_signal = SIGCHLD;
  auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (pid > 0) pidfd = Fd(fd);
  return pid;
}

std::string findProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* variable = std::getenv("PATH");
  std::string path =
      variable != nullptr ? variable : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (size_t at = 0; at <= path.size();) {
    size_t end = std::min(path.find(':', at), path.size());
    std::string candidate = path.substr(at, end - at) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    at = end + 1;
  }
  throw Error("cannot run " + name + ": not found in PATH");
}

}  // namespace

std::vector<char*> execPointers(const std::vector<std::string>& words) {
  std::vector<char*> result;
  for (const std::string& word : words) result.push_back(const_cast<char*>(word.c_str()));
  result.push_back(nullptr);
  return result;
}

// Gives each descriptor its number in the child. First all are moved above every number that is wanted, so
// that no dup2 overwrites a source. Returns errno.
int placeDescriptors(std::vector<std::pair<int, int>>& wanted) {
  int above = 3;
  for (auto& [number, fd] : wanted) above = std::max({above, number + 1});
  for (auto& [number, fd] : wanted) {
    fd = ::fcntl(fd, F_DUPFD_CLOEXEC, above);
    if (fd < 0) return errno;
  }
  for (auto& [number, fd] : wanted)
    if (::dup2(fd, number) < 0) return errno;
  return 0;
}

void resetSignals() {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int s = 1; s < NSIG; ++s) ::signal(s, SIG_DFL);
}

std::string Ended::describe() const {
  if (signal != 0) {
    const char* name = strsignal(signal);
    return str("signal ", signal, " (", name != nullptr ? name : "unknown", ")");
  }
  return str("exit status ", status);
}

std::optional<uint64_t> startTimeOf(pid_t pid) {
  std::string stat;
  try {
    stat = readFile(str("/proc/", pid, "/stat"), 4096);
  } catch (const Error&) {
    return std::nullopt;
  }
  size_t at = stat.rfind(')');
  if (at == std::string::npos) return std::nullopt;
  for (int field = 2; field < 22; ++field) {
    at = stat.find(' ', at + 1);
    if (at == std::string::npos) return std::nullopt;
  }
  return std::strtoull(stat.c_str() + at + 1, nullptr, 10);
}

std::optional<Fd> openProcess(const ProcessId& id) {
  if (id.pid <= 0) return std::nullopt;
  int fd = static_cast<int>(::syscall(SYS_pidfd_open, id.pid, 0));
  if (fd < 0) return std::nullopt;
  Fd pidfd(fd);
  // The pidfd pins the process; only now does its start time prove that it is the one that was meant.
  if (startTimeOf(id.pid) != id.startTime) return std::nullopt;
  // Readable once it has ended; where nobody reaps it, it keeps its number and start time.
  struct pollfd ended {
    pidfd.get(), POLLIN, 0
  };
  if (::poll(&ended, 1, 0) != 0) return std::nullopt;
  return pidfd;
}

void sendSignal(const Fd& pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) < 0 && errno != ESRCH)
    throw sysError("signal", "a process");
}

Child Child::start(Spec spec) {
  if (spec.argv.empty()) throw Error("cannot start a program: no name given");
  std::string program = spec.program ? "" : findProgram(spec.argv[0]);
  Fd null = openFile("/dev/null", O_RDWR);
  std::vector<std::pair<int, int>> wanted = {{0, spec.stdin ? spec.stdin.get() : null.get()},
                                             {1, spec.stdout ? spec.stdout.get() : null.get()}};
  if (spec.stderr) wanted.emplace_back(2, spec.stderr.get());
  for (auto& [number, fd] : spec.fds) wanted.emplace_back(number, fd.get());
  std::vector<char*> argv = execPointers(spec.argv);
  std::vector<char*> env;
  if (spec.env) env = execPointers(*spec.env);
  char** environment = spec.env ? env.data() : environ;
  Pipe failure = makePipe();
  pid_t parent = ::getpid();

  Fd pidfd;
  pid_t pid = cloneProcess(0, pidfd);
  check(pid, "fork for", spec.argv[0]);
  if (pid == 0) {
    resetSignals();
    int code = 0;
    if (spec.newSession) ::setsid();
    if (spec.dieWithParent) {
      if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) code = errno;
      if (::getppid() != parent) ::_exit(127);  // died before the request was in force
    }
    // The program's own descriptor moves above all numbers in use, O_CLOEXEC.
    if (code == 0) {
      // What our own parent left open without O_CLOEXEC is not for the child either.
      ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
      if (spec.program) wanted.emplace_back(900, spec.program.get());
      wanted.emplace_back(901, failure.write.get());
      code = placeDescriptors(wanted);
    }
    if (code == 0) {
      ::fcntl(900, F_SETFD, FD_CLOEXEC);
      ::fcntl(901, F_SETFD, FD_CLOEXEC);
      if (spec.prepare) code = spec.prepare();
    }
    if (code == 0) {
      if (spec.program)
        ::syscall(SYS_execveat, 900, "", argv.data(), environment, AT_EMPTY_PATH);
      else
        ::execve(program.c_str(), argv.data(), environment);
      code = errno;
    }
    [[maybe_unused]] ssize_t n = ::write(failure.write.get(), &code, sizeof code);
    ::_exit(127);
  }
  Child child(pid, std::move(pidfd));
  failure.write.reset();
  int code = 0;
  ssize_t n;
  do n = ::read(failure.read.get(), &code, sizeof code);
  while (n < 0 && errno == EINTR);
  if (n > 0) {
    child.wait();
    throw sysError("execute", spec.argv[0], code);
  }
  return child;
}

Child Child::fork(const std::function<int()>& body, unsigned long cloneFlags) {
  Fd pidfd;
  pid_t pid = cloneProcess(cloneFlags, pidfd);
  check(pid, "fork");
  if (pid == 0) {
    int status = 127;
    try {
      status = body();
    } catch (const std::exception& e) {
      std::string text = str("cove: ", e.what(), "\n");
      [[maybe_unused]] ssize_t n = ::write(2, text.data(), text.size());
    }
    ::_exit(status);
  }
  return Child(pid, std::move(pidfd));
}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, 0)), pidfd_(std::move(other.pidfd_)) {}

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  return *this;
}

Child::~Child() {
  if (pid_ <= 0) return;
  try {
    signal(SIGKILL);
    wait();
  } catch (const Error&) {
  }
}

ProcessId Child::id() const { return {pid_, startTimeOf(pid_).value_or(0)}; }

namespace {
std::optional<Ended> reap(const Fd& pidfd, int options) {
  siginfo_t info{};
  int result;
  do result = ::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info, WEXITED | options);
  while (result < 0 && errno == EINTR);
  check(result, "wait for", "a process");
  if (info.si_pid == 0) return std::nullopt;
  if (info.si_code == CLD_EXITED) return Ended{info.si_status, 0};
  return Ended{0, info.si_status};
}
}  // namespace

Ended Child::wait() {
  Ended ended = reap(pidfd_, 0).value();
  pid_ = 0;
  return ended;
}

std::optional<Ended> Child::tryWait() {
  std::optional<Ended> ended = reap(pidfd_, WNOHANG);
  if (ended) pid_ = 0;
  return ended;
}

std::string capture(std::vector<std::string> argv, size_t limit) {
  std::string name = argv.at(0);
  Pipe out = makePipe(), err = makePipe();
  Child::Spec spec;
  spec.argv = std::move(argv);
  spec.stdout = std::move(out.write);
  spec.stderr = std::move(err.write);
  Child child = Child::start(std::move(spec));
  std::string output, complaints;
  struct pollfd fds[2] = {{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) throw sysError("wait for", name);
    for (int i = 0; i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[8192];
      ssize_t n = ::read(fds[i].fd, buffer, sizeof buffer);
      if (n <= 0) {
        fds[i].fd = -1;
      } else if (i == 0) {
        if (output.size() + static_cast<size_t>(n) > limit)
          throw Error("cannot use the output of " + name + ": too long");
        output.append(buffer, static_cast<size_t>(n));
      } else {
        complaints.append(buffer, static_cast<size_t>(n));
        if (complaints.size() > 4096) complaints.erase(0, complaints.size() - 4096);
      }
    }
  }
  Ended ended = child.wait();
  if (!ended.ok())
    throw Error(str(name, " failed with ", ended.describe(), ": ", escapeForTerminal(complaints)));
  return output;
}

}  // namespace cove
