#include "target/client.h"

#include <cstdlib>
#include <memory>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "rpc/co.h"
#include "target/signals.h"
#include "target/standard_io.h"
#include "target/terminal.h"

namespace cove {

namespace {
constexpr int kTimedOut = 124;
constexpr int kLost = 125;
constexpr auto kSecondInterrupt = 1 * kj::SECONDS;

bool isDevNull(int fd) {
  struct stat st {};
  return ::fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

CommandEnd timedOut(uint64_t limitMs) {
  std::string limit = limitMs == 0 ? "" : str(" of ", static_cast<double>(limitMs) / 1000, " s");
  return {kTimedOut, str("the command was ended: its time", limit, " was up")};
}

// `limitMs`: of the command's time, 0 where it is not known.
CommandEnd endOf(rpc::ExitStatus::Reader status, uint64_t limitMs) {
  switch (status.which()) {
    case rpc::ExitStatus::CODE:
      return {status.getCode(), ""};
    case rpc::ExitStatus::SIGNAL:
      return {128 + status.getSignal(), ""};
    case rpc::ExitStatus::TIMED_OUT:
      return timedOut(limitMs);
    case rpc::ExitStatus::LOST:
      return {kLost, "the command was lost: " + std::string(status.getLost().cStr())};
    case rpc::ExitStatus::NOT_STARTED: {
      auto reason = status.getNotStarted();
      return {static_cast<int>(reason.getFound() ? Exit::kNotExecutable : Exit::kNotFound),
              reason.getReason().cStr()};
    }
  }
  return {kLost, "the command ended in a way that this version does not know"};
}

// A command that runs there, with everything here that belongs to it.
class Session {
 public:
  Session(kj::UnixEventPort& port, StandardFds fds, uint64_t limitMs = 0,
          StreamStart start = StreamStart::kBeginning)
      : port_(port),
        fds_(fds),
        limitMs_(limitMs),
        signals_(port, {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT}),
        out_(makeStandardOutput(port, fds.out, start)),
        err_(makeStandardOutput(port, fds.err, start)) {}

  rpc::ByteSink::Client out() { return out_.sink; }
  rpc::ByteSink::Client err() { return err_.sink; }
  void takeTerminal() { terminal_ = std::make_unique<RawTerminal>(fds_.in); }

  void feed(rpc::ByteSink::Client stdin, uint64_t offset) {
    // A command that wants no more input is none of the user's business.
    feeding_ =
        sendStandardInput(port_, fds_.in, kj::mv(stdin), offset).eagerlyEvaluate([](kj::Exception&&) {});
  }

  kj::Promise<CommandEnd> run(rpc::Process::Client process) {
    auto ended = waitFor(process);
    return kj::Promise<CommandEnd>(kj::mv(ended)).exclusiveJoin(kj::Promise<CommandEnd>(forward(process)));
  }

 private:
  co::Co<CommandEnd> waitFor(rpc::Process::Client process) {
    std::optional<CommandEnd> end;
    try {
      auto response = co_await process.waitRequest().send();
      end = endOf(response.getStatus(), limitMs_);
    } catch (const kj::Exception& e) {
      end = CommandEnd{kLost, "the command was lost: " + fromKj(e).message()};
    }
    // All output was sent before the answer; here it may still be under way to a slow reader.
    if (end->status == kLost) co_return std::move(*end);
    int failure = co_await out_.ended;
    co_await err_.ended;
    // Its reader is free to go; any other failure means that what the command wrote is not where it belongs.
    if (failure != 0 && failure != EPIPE)
      co_return CommandEnd{kLost, sysError("write", "the command's output", failure).message()};
    co_return std::move(*end);
  }

  // Resolves only when a signal ends the wait.
  co::Co<CommandEnd> forward(rpc::Process::Client process) {
    std::optional<kj::TimePoint> interrupted;
    for (;;) {
      int signal = co_await signals_.next();
      auto now = port_.getTimer().now();
      if (signal == SIGWINCH) {
        if (terminal_) resize(process);
      } else if (signal == SIGCONT) {
        if (terminal_) terminal_->apply();
      } else if (terminal_ && (signal == SIGTERM || signal == SIGHUP)) {
        // The user's terminal or session ends, so does what hangs on it.
        co_await send(process, SIGHUP);
        co_return CommandEnd{128 + signal, ""};
      } else if (signal == SIGINT && interrupted && now - *interrupted < kSecondInterrupt) {
        co_return CommandEnd{128 + SIGINT, ""};
      } else {
        if (signal == SIGINT) interrupted = now;
        signalling_ = send(process, signal).eagerlyEvaluate(nullptr);
      }
    }
  }

  kj::Promise<void> send(rpc::Process::Client& process, int signal) {
    auto request = process.signalRequest();
    request.setNumber(static_cast<uint8_t>(signal));
    return port_.getTimer()
        .timeoutAfter(1 * kj::SECONDS, request.send().ignoreResult())
        .catch_([](kj::Exception&&) {});
  }

  void resize(rpc::Process::Client& process) {
    TerminalSize size = terminalSize(fds_.in);
    auto request = process.resizeRequest();
    request.setRows(size.rows);
    request.setColumns(size.columns);
    resizing_ = request.send().ignoreResult().eagerlyEvaluate([](kj::Exception&&) {});
  }

  kj::UnixEventPort& port_;
  StandardFds fds_;
  uint64_t limitMs_;
  SignalTaker signals_;
  std::unique_ptr<RawTerminal> terminal_;
  StandardOutput out_, err_;
  kj::Promise<void> feeding_ = nullptr, signalling_ = nullptr, resizing_ = nullptr;
};

void describe(const CommandOptions& options, rpc::Command::Builder command) {
  auto argv = command.initArgv(static_cast<unsigned>(options.argv.size()));
  for (unsigned i = 0; i < options.argv.size(); ++i) argv.set(i, options.argv[i].c_str());
  auto environment = command.initEnvironment(static_cast<unsigned>(options.environment.size()));
  for (unsigned i = 0; i < options.environment.size(); ++i)
    environment.set(i, options.environment[i].c_str());
  command.setUser(options.user.c_str());
  command.setWorkdir(options.workdir.c_str());
  command.setTimeoutMs(options.timeoutMs);
  if (!options.terminal) {
    command.setPipes();
    return;
  }
  auto terminal = command.initTerminal();
  TerminalSize size = terminalSize(options.fds.in);
  terminal.setRows(size.rows);
  terminal.setColumns(size.columns);
  const char* type = std::getenv("TERM");
  terminal.setType(type == nullptr ? "" : type);
}

co::Co<CommandEnd> run(kj::UnixEventPort& port, rpc::Target::Client target, CommandOptions options) {
  Session session(port, options.fds, options.timeoutMs);
  auto request = target.execRequest();
  auto command = request.initCommand();
  describe(options, command);
  bool noStdin = !options.terminal && isDevNull(options.fds.in);
  command.setNoStdin(noStdin);
  request.setStdout(session.out());
  request.setStderr(session.err());
  if (options.terminal) session.takeTerminal();
  // Everything goes out at once; the answer to exec only tells whether there is a command.
  auto exec = request.send();
  if (!noStdin) session.feed(exec.getStdin(), 0);
  auto ended = session.run(exec.getProcess()).eagerlyEvaluate(nullptr);
  // Kept to the end: dropping it sends messages that a guest would have to read while its command runs.
  auto response = co_await kj::Promise<capnp::Response<rpc::Target::ExecResults>>(kj::mv(exec));
  co_return co_await ended;
}

co::Co<CommandEnd> takeOver(kj::UnixEventPort& port, rpc::Target::Client target, uint64_t id,
                            StandardFds fds) {
  Session session(port, fds, 0, StreamStart::kWhereItIs);
  auto request = target.attachRequest();
  request.setId(id);
  request.setStdout(session.out());
  request.setStderr(session.err());
  auto attached = co_await request.send();
  if (attached.getTerminal()) session.takeTerminal();
  if (!isDevNull(fds.in)) session.feed(attached.getStdin(), attached.getStdinOffset());
  co_return co_await session.run(attached.getProcess());
}
}  // namespace

kj::Promise<CommandEnd> runCommand(kj::UnixEventPort& port, rpc::Target::Client target,
                                   CommandOptions options) {
  return run(port, kj::mv(target), std::move(options));
}

kj::Promise<CommandEnd> attachCommand(kj::UnixEventPort& port, rpc::Target::Client target, uint64_t id,
                                      StandardFds fds) {
  return takeOver(port, kj::mv(target), id, fds);
}

}  // namespace cove
