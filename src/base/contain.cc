#include "base/contain.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/contain_root.h"
#include "base/error.h"
#include "base/privileges.h"
#include "base/seccomp.h"
#include "base/text.h"

namespace cove {

namespace {

// One message of the dialogue between the parent and the child that contains itself. A closed socket means
// that the other has ended (the child: or has executed its program).
struct Message {
  char kind = 0;  // 0: closed
  std::string text{};
  Fd fd{};
};
constexpr char kMapMe = 'm', kMapped = 'M', kReady = 'r', kGo = 'G', kFailed = 'e';

void sendMessage(const Fd& socket, char kind, const std::string& text = {}, const Fd& fd = {}) {
  sendWith(socket, kind + text.substr(0, 4000), fd);
}

Message receiveMessage(const Fd& socket) {
  char buffer[4096];
  iovec part{buffer, sizeof buffer};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t n;
  do n = ::recvmsg(socket.get(), &header, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno == ECONNRESET) n = 0;
  check(n, "receive", "a message about containment");
  Message message;
  if (n == 0) return message;
  message.kind = buffer[0];
  message.text.assign(buffer + 1, static_cast<size_t>(n) - 1);
  if (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr && c->cmsg_type == SCM_RIGHTS) {
    int number;
    std::memcpy(&number, CMSG_DATA(c), sizeof number);
    message.fd = Fd(number);
  }
  return message;
}

void expect(const Fd& socket, char kind) {
  if (receiveMessage(socket).kind != kind) throw Error("the parent process has ended");
}

void setLimits(const std::vector<std::pair<int, rlim_t>>& limits) {
  for (auto [resource, value] : limits) {
    rlimit limit{value, value};
    check(::setrlimit(static_cast<__rlimit_resource>(resource), &limit), "set", "a resource limit");
  }
}

FilterRules::Exec filterFor(ExecRule rule) {
  if (rule == ExecRule::kFree) return FilterRules::Exec::kAllow;
  return rule == ExecRule::kOnce ? FilterRules::Exec::kAsk : FilterRules::Exec::kDeny;
}

// The steps, in the only order that works. Returns when the parent has agreed to what was reached.
void containSelf(const Containment& c, const Fd& control) {
  // /proc/PID must be ours while the maps are written; a parent that hardened itself is not dumpable.
  check(::prctl(PR_SET_DUMPABLE, 1), "prepare", "the user namespace");
  sendMessage(control, kMapMe);
  expect(control, kMapped);

  check(::sethostname("cove", 4), "set", "the host name");
  setLimits({{RLIMIT_CORE, 0}});
  setLimits(c.limits);
  // The binds' sources are the caller's to open; the new root's files belong to the new identity.
  ContainedRoot root(c);
  becomeUser(c.identity.uid, c.identity.gid);
  root.enter();

  forbidNewPrivileges();
  if (!c.keepCapabilities) dropCapabilities();
  // After every change of credentials, which resets both.
  check(::prctl(PR_SET_DUMPABLE, c.exec == ExecRule::kFree ? 1 : 0), "hide from", "debuggers");
  if (c.dieWithParent) check(::prctl(PR_SET_PDEATHSIG, SIGKILL), "tie", "the process to its parent");
  // Landlock forbids every mount, to whoever lives in it.
  if (!c.allowMounts) {
    bool writable = c.writableRoot;
    for (const Bind& bind : c.binds) writable = writable || bind.writable || bind.devices;
    restrictByLandlock({writable, c.keepNetwork});
  }
  Fd listener = installFilter({.allowMounts = c.allowMounts,
                               .exec = filterFor(c.exec),
                               .unixSockets = c.unixSockets,
                               .changeModes = c.allowMounts || c.writableRoot});
  sendMessage(control, kReady, {}, listener);
  listener.reset();
  // A parent that died before PR_SET_PDEATHSIG took effect closes the socket instead.
  expect(control, kGo);
}

unsigned long namespacesOf(const Containment& c) {
  return CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
         (c.keepNetwork ? 0UL : CLONE_NEWNET);
}

Error describeFailure(const Containment& c, const std::string& reason) {
  return Error(str("cannot contain ", c.name.c_str(), ": ", reason.c_str()));
}

Child cloneContained(const Containment& c, const std::function<int()>& body) {
  try {
    return Child::fork(body, namespacesOf(c));
  } catch (const Error& e) {
    Error error = describeFailure(c, e.message());
    if (e.code() == EPERM || e.code() == ENOSPC || e.code() == EUSERS || e.code() == EACCES)
      error.hint(
          "User namespaces are not available here. Allow them (as root):\n"
          "  sysctl user.max_user_namespaces=65536\n"
          "and where the distribution has these switches:\n"
          "  sysctl kernel.unprivileged_userns_clone=1\n"
          "  sysctl kernel.apparmor_restrict_unprivileged_userns=0");
    throw error;
  }
}

// Waits until the child asks for its exec, or says or shows that it will not.
void answerExec(const Fd& listener, const Fd& control) {
  pollfd waits[2] = {{listener.get(), POLLIN, 0}, {control.get(), POLLIN, 0}};
  while (::poll(waits, 2, -1) < 0)
    if (errno != EINTR) throw sysError("wait for", "the program to be executed");
  if ((waits[0].revents & POLLIN) != 0) allowOneExec(listener);
}

// The parent's side of containSelf(): brings the child to its body or its program; throws what stopped it.
void guideChild(const Containment& c, Child& child, const Fd& control, bool programFollows) {
  Message message = receiveMessage(control);
  if (message.kind == kMapMe) {
    c.identity.map(child.pid());
    sendMessage(control, kMapped);
    message = receiveMessage(control);
  }
  if (message.kind == kReady) {
    sendMessage(control, kGo);
    if (!programFollows) return;
    if (message.fd) answerExec(message.fd, control);
    message = receiveMessage(control);
    if (message.kind == 0) return;  // closed by exec
  }
  if (message.kind == kFailed) throw describeFailure(c, message.text);
  throw describeFailure(c, str("it ended early with ", child.wait().describe().c_str()));
}

}  // namespace

void writeIdMaps(pid_t pid, uint32_t insideUid, uint32_t outsideUid, uint32_t insideGid, uint32_t outsideGid,
                 uint32_t count) {
  std::string base = str("/proc/", pid, "/");
  auto write = [&](const char* file, const std::string& text) {
    writeAll(openFile(base + file, O_WRONLY), text, file);
  };
  // A user may map his group only when nobody inside can drop groups that deny him something.
  if (::geteuid() != 0) write("setgroups", "deny");
  write("uid_map", str(insideUid, " ", outsideUid, " ", count));
  write("gid_map", str(insideGid, " ", outsideGid, " ", count));
}

Identity ownIdentity(gid_t rootGroup) {
  uint32_t uid = ::geteuid(), gid = ::getegid();
  // Process numbers are below 2^22, so this is nobody else's for as long as we live.
  if (uid == 0) uid = gid = kUnusedIds + (1U << 24) + static_cast<uint32_t>(::getpid());
  if (::geteuid() == 0 && rootGroup != 0) gid = rootGroup;
  return {[uid, gid](pid_t pid) { writeIdMaps(pid, uid, uid, gid, gid, 1); }, uid, gid};
}

Child startContained(Containment c, Child::Spec spec) {
  if (spec.argv.empty() || !spec.env || c.exec == ExecRule::kNone)
    throw describeFailure(c, "a program and its environment must be given");
  auto [ours, theirs] = makeSocketPair(SOCK_SEQPACKET);
  Fd null = openFile("/dev/null", O_RDWR);
  Child child = cloneContained(c, [&, &ours = ours, &theirs = theirs]() -> int {
    resetSignals();
    if (spec.newSession) ::setsid();
    try {
      ours.reset();
      containSelf(c, theirs);
      std::vector<std::pair<int, int>> wanted = {{0, spec.stdin ? spec.stdin.get() : null.get()},
                                                 {1, spec.stdout ? spec.stdout.get() : null.get()}};
      if (spec.stderr) wanted.emplace_back(2, spec.stderr.get());
      for (auto& [number, fd] : spec.fds) wanted.emplace_back(number, fd.get());
      ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
      constexpr int kControl = 900;
      wanted.emplace_back(kControl, theirs.get());
      if (int code = placeDescriptors(wanted); code != 0) throw sysError("place", "the descriptors", code);
      theirs.release();
      theirs = Fd(kControl);
      check(::fcntl(kControl, F_SETFD, FD_CLOEXEC), "place", "the descriptors");
      std::vector<char*> argv = execPointers(spec.argv), env = execPointers(*spec.env);
      ::execve(argv[0], argv.data(), env.data());
      throw sysError("execute", spec.argv[0]);
    } catch (const std::exception& e) {
      sendMessage(theirs, kFailed, e.what());
    }
    return 127;
  });
  theirs.reset();
  guideChild(c, child, ours, true);
  return child;
}

Child forkContained(Containment c, std::vector<int> keep, const std::function<int()>& body) {
  auto [ours, theirs] = makeSocketPair(SOCK_SEQPACKET);
  c.exec = ExecRule::kNone;
  Child child = cloneContained(c, [&, &ours = ours, &theirs = theirs]() -> int {
    resetSignals();
    try {
      ours.reset();
      containSelf(c, theirs);
    } catch (const std::exception& e) {
      sendMessage(theirs, kFailed, e.what());
      return 127;
    }
    theirs.release();
    std::sort(keep.begin(), keep.end());
    unsigned from = 3;
    for (int fd : keep) {
      if (static_cast<unsigned>(fd) > from) ::close_range(from, static_cast<unsigned>(fd) - 1, 0);
      if (fd >= 3) from = static_cast<unsigned>(fd) + 1;
    }
    ::close_range(from, ~0U, 0);
    return body();
  });
  theirs.reset();
  guideChild(c, child, ours, false);
  return child;
}

std::string describeLandlock() {
  int version = landlockVersion();
  if (version > 0) return str("Landlock ", version);
  return str("no Landlock (", strerrordesc_np(errno), ")");
}

void probeContainment() {
  Containment c;
  c.name = "a process";
  Child child = forkContained(std::move(c), {}, [] { return 0; });
  if (Ended ended = child.wait(); !ended.ok()) throw Error("cannot contain a process: " + ended.describe());
}

void hardenSelf(Reach reach) {
  keepOutOfCores();
  forbidNewPrivileges();
  installFilter({.changeModes = reach != Reach::kOwnOnly, .ownOnly = reach == Reach::kOwnOnly});
}

}  // namespace cove
