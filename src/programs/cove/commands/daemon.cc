#include "base/text.h"
#include "cove/commands/all.h"
#include "cove/context.h"
#include "cove/instance_record.h"
#include "cove/output.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kStateHelp = R"(
Prints what the daemon is doing: its process, version, socket, log, the machines that run, operations under way
and the time until it ends by itself when it stays unused. A daemon that is older than the installed program goes
on while machines run, and gives way to a newer one when nothing does. It never starts one: where none runs it says so, with
exit status 1.
)";

constexpr std::string_view kStartHelp = R"(
Starts the daemon where none runs. The first command that needs it does so by itself; this one tries again at once
where earlier starts failed.
)";

constexpr std::string_view kStopHelp = R"(
Ends the daemon when what it is doing is done. Machines that run are not affected: the next command starts a
daemon that finds them again. Where none runs it does nothing.
)";

class DaemonState final : public Action {
 public:
  void declare(Arguments& arguments) override { output_.declare(arguments); }

  int run(Context& context) override {
    auto response = context.wait(context.daemon().stateRequest().send());
    auto info = response.getInfo();
    std::vector<std::string> operations;
    for (auto operation : info.getOperations()) operations.emplace_back(operation.cStr());
    auto idle = int64_t(info.getIdleLeftMs() / 1000);
    auto limit = int64_t(info.getIdleTimeoutMs() / 1000);
    bool outdated = DaemonClient::isOutdated(info.getBuildId().cStr());
    std::string advice = "yes: replaced when nothing runs, or by: cove daemon stop";
    writeOut(output_.single({
        {"pid", int64_t{info.getPid()}, "PID"},
        {"version", cove::str(info.getVersion()), "Version"},
        {"buildId", cove::str(info.getBuildId()), "Build"},
        {"outdated", outdated, outdated ? "Older than cove" : nullptr, advice},
        {"stateDirectory", cove::str(info.getStateDirectory()), "State directory"},
        {"socket", cove::str(info.getSocket()), "Socket"},
        {"log", cove::str(info.getLog()), "Log"},
        {"startedAt", formatTime(info.getStartedAt()), "Started"},
        {"machines", int64_t{info.getMachines()}, "Machines"},
        {"waiting", int64_t{info.getWaiting()}, info.getWaiting() == 0 ? nullptr : "Of those, for a run"},
        {"clients", int64_t{info.getClients()}, "Clients"},
        {"operations", operations, "Operations"},
        {"idleTimeout", limit, "Ends when unused for", limit == 0 ? "never" : formatAge(limit)},
        {"idleLeft", idle, limit == 0 ? nullptr : "Time left", formatAge(idle)},
    }));
    return 0;
  }

 private:
  Output output_;
};

class DaemonStart final : public Action {
 public:
  void declare(Arguments&) override {}

  int run(Context& context) override {
    bool started = false;
    auto client =
        context.wait(DaemonClient::connect(context.io(), Autostart::kRegardless, [&](std::string_view line) {
          started = true;
          context.say(line);
        }));
    if (!started) context.say("the daemon runs already");
    return 0;
  }
};

class DaemonStop final : public Action {
 public:
  void declare(Arguments&) override {}

  int run(Context& context) override {
    if (!context.wait(DaemonClient::stop(context.io()))) context.say("no daemon was running");
    return 0;
  }
};

}  // namespace

constinit const Command kDaemonStart = {
    .name = "daemon start",
    .summary = "Start the daemon, also after starts that failed",
    .help = kStartHelp,
    .needs = Needs::kDaemon,
    .make = makeAction<DaemonStart>,
};
constinit const Command kDaemonState = {
    .name = "daemon state",
    .summary = "Print what the daemon is doing",
    .help = kStateHelp,
    .needs = Needs::kRunning,
    .make = makeAction<DaemonState>,
};
constinit const Command kDaemonStop = {
    .name = "daemon stop",
    .summary = "End the daemon; machines go on",
    .help = kStopHelp,
    .needs = Needs::kRunning,
    .make = makeAction<DaemonStop>,
};

}  // namespace cove::cli
