#include <ctime>

#include "base/text.h"
#include "cove/command_options.h"
#include "cove/commands/all.h"
#include "cove/instance_record.h"
#include "cove/output.h"
#include "cove/session.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kPsHelp = R"(
Lists the commands that cove runs in an instance. One that is `detached` lost the cove that started it and goes
on; `cove attach` takes it over. One that is `finished` has output or an exit status that nobody has fetched yet.
)";

constexpr std::string_view kAttachHelp = R"(
Takes over a command of `cove ps`, with its output from where its last client had it, its input and its exit
status. Whoever was attached to it loses it. Exit statuses are as in `cove run`.
)";

class Ps final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.instance(name_);
    output_.declare(arguments);
  }

  int run(Context& context) override {
    auto session = Session::connect(context, name_);
    auto target = session->target(true);
    auto response = fromGuest([&] { return context.wait(target.processesRequest().send()); });
    std::vector<Record> records;
    for (auto process : response.getProcesses()) records.push_back(record(process));
    if (records.empty() && output_.isTable()) context.say("no commands");
    writeOut(output_.list(records));
    return 0;
  }

 private:
  static Record record(rpc::ProcessInfo::Reader process) {
    std::vector<std::string> argv;
    for (auto word : process.getArgv()) argv.emplace_back(word.cStr());
    auto started = int64_t(process.getStartedMs() / 1000);
    std::string state = process.getFinished() ? "finished" : process.getAttached() ? "attached" : "detached";
    return {
        {"id", int64_t(process.getId()), "ID"},
        {"user", cove::str(process.getUser()), "USER"},
        {"state", state, "STATE"},
        {"age", int64_t(time(nullptr)) - started, "AGE", formatAge(time(nullptr) - started)},
        {"tty", process.getTerminal(), "TTY", process.getTerminal() ? "yes" : "no"},
        {"command", argv, "COMMAND"},
        {"startedAt", formatTime(started)},
    };
  }

  std::string name_;
  Output output_;
};

class Attach final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.instance(name_);
    arguments.positional(
        "ID", [this](const std::string& text) { id_ = numberValue("ID", text, 0, UINT64_MAX); },
        "number of the command in cove ps");
  }

  int run(Context& context) override {
    auto session = Session::connect(context, name_);
    return attachOn(context, session->target(true), id_);
  }

 private:
  std::string name_;
  uint64_t id_ = 0;
};

}  // namespace

constinit const Command kPs = {
    .name = "ps",
    .summary = "List the commands that run in an instance",
    .help = kPsHelp,
    .needs = Needs::kDaemon,
    .make = makeAction<Ps>,
};
constinit const Command kAttach = {
    .name = "attach",
    .summary = "Take over a command that runs in an instance",
    .help = kAttachHelp,
    .needs = Needs::kDaemon,
    .make = makeAction<Attach>,
    .passesStatus = true,
};

}  // namespace cove::cli
