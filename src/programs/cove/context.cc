#include "cove/context.h"

#include <array>
#include <csignal>
#include <unistd.h>

#include "base/text.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::array kInterrupts = {SIGINT, SIGTERM, SIGHUP};

// Who starts cove with a signal ignored (nohup, a script's background job) wants that to stay.
bool isIgnored(int signal) {
  struct sigaction action = {};
  sigaction(signal, nullptr, &action);
  return action.sa_handler == SIG_IGN;
}

class ProgressPrinter final : public rpc::Progress::Server {
 public:
  explicit ProgressPrinter(ProgressLine& line) : line_(line) {}
  kj::Promise<void> report(ReportContext context) override {
    auto report = context.getParams();
    line_.show(report.getStep().cStr(), report.getDone(), report.getTotal());
    return kj::READY_NOW;
  }

 private:
  ProgressLine& line_;
};

}  // namespace

void Globals::declare(Arguments& arguments) {
  arguments.flag("--quiet", quiet, "no progress and no notes on stderr, only errors").brief('q');
  arguments.flag("--tty", terminal, "--tty=false: behave as if there were no terminal");
}

kj::AsyncIoContext& Context::io() {
  if (!io_) {
    // Before the loop exists, so that none of them arrives in between. One that was ignored is not captured.
    for (int signal : kInterrupts) {
      if (!isIgnored(signal)) kj::UnixEventPort::captureSignal(signal);
    }
    io_.emplace(kj::setupAsyncIo());
  }
  return *io_;
}

kj::Promise<int> Context::signalArrived() {
  kj::Promise<int> any = kj::NEVER_DONE;
  for (int signal : kInterrupts) {
    if (isIgnored(signal)) continue;
    any = any.exclusiveJoin(
        io().unixEventPort.onSignal(signal).then([](siginfo_t info) { return info.si_signo; }));
  }
  return any;
}

rpc::Daemon::Client Context::daemon() {
  if (!client_) return reconnect();
  return client_->daemon();
}

rpc::Daemon::Client Context::reconnect() {
  auto autostart = command_.needs == Needs::kDaemon ? Autostart::kYes : Autostart::kNo;
  client_ = nullptr;
  client_ = wait(DaemonClient::connect(io(), autostart, [this](std::string_view line) { say(line); }));
  if (!client_) throw Error("no daemon is running").hint("It starts with the first command that needs it.");
  return client_->daemon();
}

ProgressLine& Context::progress() {
  if (!progress_) {
    auto style = globals_.quiet              ? ProgressLine::Style::kNone
                 : isTerminal(STDERR_FILENO) ? ProgressLine::Style::kTerminal
                                             : ProgressLine::Style::kLines;
    progress_.emplace(style);
  }
  return *progress_;
}

rpc::Progress::Client Context::progressClient() { return kj::heap<ProgressPrinter>(progress()); }

void Context::say(std::string_view line) {
  if (!globals_.quiet) complain(line);
}

void Context::complain(std::string_view line) {
  if (progress_) progress_->clear();
  writeErr("cove: " + escapeForTerminal(line) + "\n");
}

bool Context::isTerminal(int fd) const { return globals_.terminal && isatty(fd); }

}  // namespace cove::cli
