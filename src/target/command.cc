#include "target/command.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "rpc/co.h"
#include "rpc/connection.h"
#include "target/command_spec.h"
#include "target/pty.h"

namespace cove {

namespace {
constexpr auto kKillAfter = 5 * kj::SECONDS;
// What processes that the command left behind may still add to its output.
constexpr auto kOutputGrace = 100 * kj::MILLISECONDS;
constexpr gid_t kTtyGroup = 5;  // Debian's and everyone's "tty"

uint64_t nowMs() {
  using namespace std::chrono;
  return static_cast<uint64_t>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

Fd devNull() { return openFile("/dev/null", O_RDWR); }
}  // namespace

struct Command::Streams {
  Fd stdin, stdout, stderr;
};

Command::Command(kj::UnixEventPort& port, rpc::Command::Reader request, uint64_t id,
                 std::optional<CommandCgroup> cgroup, bool resetOomScore)
    : port_(port), cgroup_(std::move(cgroup)) {
  description_.id = id;
  description_.startedMs = nowMs();
  auto end = kj::newPromiseAndFulfiller<void>();
  end_ = end.promise.fork();
  endFulfiller_ = kj::mv(end.fulfiller);
  KJ_ON_SCOPE_FAILURE(if (cgroup_ && cgroup_->release) cgroup_->release());
  start(request, resetOomScore);
}

Command::~Command() noexcept(false) {
  if (ended_) return;
  signalAll(SIGKILL);
  siginfo_t info;
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) < 0 && errno == EINTR) {
  }
  if (cgroup_ && cgroup_->release) cgroup_->release();
}

void Command::start(rpc::Command::Reader request, bool resetOomScore) {
  SpawnOptions options = specify(request);
  description_.argv = options.argv;
  description_.user = options.user ? options.user->name : userOf(::geteuid()).name;
  description_.terminal = options.terminal;
  {
    Streams streams = openStreams(request);
    if (options.terminal && options.user) {
      const Fd& slave = streams.stdin;
      check(::fchown(slave.get(), options.user->uid, kTtyGroup), "hand over", "a terminal");
      check(::fchmod(slave.get(), 0620), "hand over", "a terminal");
    }
    options.stdin = streams.stdin.get();
    options.stdout = streams.stdout ? streams.stdout.get() : options.stdin;
    options.stderr = streams.stderr ? streams.stderr.get() : options.stdin;
    options.cgroup = cgroup_ ? cgroup_->directory.get() : -1;
    options.resetOomScore = resetOomScore;
    Spawned spawned = spawn(options);
    pid_ = spawned.pid;
    pidfd_ = std::move(spawned.pidfd);
    notStarted_ = std::move(spawned.failure);
  }
  if (notStarted_) return finished();
  watching_ = watch().eagerlyEvaluate(nullptr);
  if (master_)  // who sees the terminal no more has hung up; a pipe's writer gets SIGPIPE by itself
    hangingUp_ = out_->whenSent()
                     .then([this] {
                       if (out_->refused()) signal(SIGHUP);
                     })
                     .eagerlyEvaluate(nullptr);
  if (request.getTimeoutMs() > 0) enforcing_ = enforce(request.getTimeoutMs()).eagerlyEvaluate(nullptr);
}

Command::Streams Command::openStreams(rpc::Command::Reader request) {
  Streams streams;
  if (request.isTerminal()) {
    auto terminal = request.getTerminal();
    Pty pty = openPty(terminal.getRows(), terminal.getColumns());
    streams.stdin = std::move(pty.slave);
    in_ = kj::refcounted<StreamReceiver>(port_, pty.master.duplicate(), typeEndOfFile);
    out_ = kj::heap<StreamSender>(port_, pty.master.duplicate(), true);
    err_ = kj::heap<StreamSender>(port_, devNull());
    master_ = std::move(pty.master);
    return streams;
  }
  Fd input;
  if (request.getNoStdin()) {
    streams.stdin = devNull();
    input = streams.stdin.duplicate();
  } else {
    Pipe in = makePipe();
    streams.stdin = std::move(in.read);
    input = std::move(in.write);
  }
  Pipe out = makePipe(), err = makePipe();
  streams.stdout = std::move(out.write);
  streams.stderr = std::move(err.write);
  in_ = kj::refcounted<StreamReceiver>(port_, std::move(input));
  out_ = kj::heap<StreamSender>(port_, std::move(out.read), true);
  err_ = kj::heap<StreamSender>(port_, std::move(err.read), true);
  return streams;
}

kj::Promise<void> Command::watch() {
  return whenReadable(port_, pidfd_.get()).then([this] {
    int status;
    pid_t pid;
    do pid = ::waitpid(pid_, &status, 0);
    while (pid < 0 && errno == EINTR);
    waitStatus_ = pid == pid_ ? status : SIGKILL;
    enforcing_ = nullptr;
    finished();
  });
}

kj::Promise<void> Command::enforce(uint64_t timeoutMs) {
  auto& timer = port_.getTimer();
  // A duration of KJ counts nanoseconds in 64 bits; nobody waits a hundred years.
  constexpr uint64_t kLongest = 100ull * 365 * 24 * 3600 * 1000;
  return timer.afterDelay(static_cast<int64_t>(std::min(timeoutMs, kLongest)) * kj::MILLISECONDS)
      .then([this, &timer] {
        timedOut_ = true;
        signalAll(SIGTERM);
        return timer.afterDelay(kKillAfter);
      })
      .then([this] { signalAll(SIGKILL); });
}

void Command::finished() {
  ended_ = true;
  in_->close();
  out_->endAfter(kOutputGrace);
  err_->endAfter(kOutputGrace);
  if (cgroup_ && cgroup_->release) cgroup_->release();
  cgroup_.reset();
  endFulfiller_->fulfill();
}

bool Command::attached() const { return out_->attached() || err_->attached(); }

uint64_t Command::attach(rpc::ByteSink::Client out, rpc::ByteSink::Client err) {
  if (takeOver_) takeOver_->fulfill();
  auto takeOver = kj::newPromiseAndFulfiller<void>();
  takeOver_ = kj::mv(takeOver.fulfiller);
  takenOver_ = takeOver.promise.fork();
  out_->attach(kj::mv(out));
  err_->attach(kj::mv(err));
  return ++client_;
}

void Command::detach(uint64_t client) {
  if (client != client_) return;
  out_->detach();
  err_->detach();
}

rpc::ByteSink::Client Command::stdinSink() { return in_->makeSink(); }
uint64_t Command::stdinOffset() const { return in_->offset(); }

kj::Promise<void> Command::whenDone(uint64_t client) {
  if (client != client_) return kj::READY_NOW;
  auto done = end_.addBranch().then([this] {
    auto sent = kj::heapArrayBuilder<kj::Promise<void>>(2);
    sent.add(out_->whenSent());
    sent.add(err_->whenSent());
    return kj::joinPromises(sent.finish());
  });
  return done.exclusiveJoin(takenOver_.addBranch());
}

void Command::describeEnd(uint64_t client, rpc::ExitStatus::Builder status) const {
  if (client != client_) {
    status.setLost("another client has taken the command over");
  } else if (notStarted_) {
    auto reason = status.initNotStarted();
    reason.setFound(notStarted_->found);
    reason.setReason(notStarted_->reason.c_str());
  } else if (timedOut_) {
    status.setTimedOut();
  } else if (WIFSIGNALED(waitStatus_)) {
    status.setSignal(static_cast<uint8_t>(WTERMSIG(waitStatus_)));
  } else {
    status.setCode(static_cast<uint8_t>(WEXITSTATUS(waitStatus_)));
  }
}

kj::Promise<void> Command::whenSettled() {
  auto settled = kj::heapArrayBuilder<kj::Promise<void>>(2);
  for (StreamSender* each : {out_.get(), err_.get()})
    settled.add(each->whenAcknowledged().catch_([](kj::Exception&&) {}));
  return kj::joinPromises(settled.finish());
}

void Command::signal(int number) {
  if (number < 1 || number > 64) throw Error(str("there is no signal ", number));
  if (ended_) return;
  pid_t group = pid_;
  if (master_) group = foregroundGroup(master_).value_or(pid_);
  if (::kill(-group, number) < 0 && errno != ESRCH) throw sysError("send a signal to", description_.argv[0]);
}

void Command::resize(uint16_t rows, uint16_t columns) {
  if (!master_) throw Error("the command has no terminal");
  if (!ended_) resizePty(master_, rows, columns);
}

// To everything in its cgroup; without one, to its process group.
void Command::signalAll(int number) {
  if (pid_ <= 1) return;
  if (!cgroup_) {
    ::kill(-pid_, number);
    return;
  }
  if (number == SIGKILL) {
    writeAll(openAt(cgroup_->directory, "cgroup.kill", O_WRONLY), "1", "cgroup.kill");
    return;
  }
  std::string members =
      readAll(openAt(cgroup_->directory, "cgroup.procs", O_RDONLY), 1 << 20, "cgroup.procs");
  for (const char* at = members.c_str(); *at != '\0';) {
    char* end;
    long pid = std::strtol(at, &end, 10);
    if (end == at) break;
    if (pid > 1) ::kill(static_cast<pid_t>(pid), number);
    at = *end == '\n' ? end + 1 : end;
  }
}

}  // namespace cove
