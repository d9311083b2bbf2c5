// A child process, held by a pidfd, so that it is never confused with another that got its number.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/fd.h"

namespace cove {

// How a process ended: its exit status, or the signal that killed it.
struct Ended {
  int status = 0;
  int signal = 0;
  bool ok() const { return status == 0 && signal == 0; }
  std::string describe() const;  // "exit status 3", "signal 9 (Killed)"
};

// Identity of a process that may not be our child: pid and start time (clock ticks since boot, field 22 of
// /proc/PID/stat, read after the last ')' because comm may hold anything).
struct ProcessId {
  pid_t pid = 0;
  uint64_t startTime = 0;
};
std::optional<uint64_t> startTimeOf(pid_t pid);
// A pidfd, if that very process still runs.
std::optional<Fd> openProcess(const ProcessId& id);
void sendSignal(const Fd& pidfd, int signal);

// Kills and reaps in its destructor unless it was waited for or released.
class Child {
 public:
  struct Spec {
    std::vector<std::string> argv;                // argv[0] is looked up in PATH unless `program` is set
    Fd program;                                   // executed by descriptor where given
    std::optional<std::vector<std::string>> env;  // the whole environment; nullopt: inherited
    Fd stdin, stdout, stderr;                     // unset: /dev/null, /dev/null, inherited
    std::vector<std::pair<int, Fd>> fds;          // child's number (3 and above) and what lies there
    bool dieWithParent = false;                   // PR_SET_PDEATHSIG(SIGKILL)
    bool newSession = false;
    // Runs in the child before exec; async-signal-safe code only. Throws nothing: returns errno, or 0.
    std::function<int()> prepare;
  };
  static Child start(Spec spec);
  // Runs `body` in a forked child (no exec); its return value is the exit status. The caller is
  // single-threaded.
  static Child fork(const std::function<int()>& body, unsigned long cloneFlags = 0);

  Child(Child&&) noexcept;
  Child& operator=(Child&&) noexcept;
  ~Child();

  pid_t pid() const { return pid_; }
  ProcessId id() const;
  const Fd& pidfd() const { return pidfd_; }
  void signal(int signal) const { sendSignal(pidfd_, signal); }
  Ended wait();                    // blocks
  std::optional<Ended> tryWait();  // nullopt: still running
  void release() { pid_ = 0; }     // it lives on, nobody reaps it here

 private:
  Child(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  pid_t pid_ = 0;
  Fd pidfd_;
};

// For whoever forks and executes by himself (contain.cc). Async-signal-safe.
// Gives each descriptor (second) its number (first) in the child, whatever the overlaps. Returns errno.
int placeDescriptors(std::vector<std::pair<int, int>>& wanted);
void resetSignals();
std::vector<char*> execPointers(const std::vector<std::string>& words);  // ends in nullptr

// Runs to its end and returns stdout (at most `limit` bytes); a failure throws with the tail of stderr.
std::string capture(std::vector<std::string> argv, size_t limit = 1 << 20);

}  // namespace cove
