#include "base/text.h"
#include "base/uuid.h"
#include "cove/command_options.h"
#include "cove/commands/all.h"
#include "cove/lifecycle.h"
#include "cove/session.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Makes a machine, runs a command in it, and deletes the machine: `cove run debian:12 -- uname -a`. Without a
command it opens a shell. The command runs as root in `/root`, unless `--user` and `--workdir` say otherwise.

Standard input, output and error are the command's own, byte for byte; on a terminal it gets a terminal. Signals
are passed on, and the exit status is that of the command: 128 and the signal's number where one killed it, 124
after `--timeout`, 126 and 127 where it could not be executed or found. Every failure of cove itself is 125.

A machine of a kind that was booted before begins from a saved one, in a fraction of a second: it is ready, and
differs from any other in all that must be unique. `--cold` boots it, as `--keep` and `--detach` do; so does the first
run of a kind, after which one is saved in the background. A daemon started with `COVE_RUN_POOL=N` keeps N of the kind
that was run last ready, for a run without `--name`. See docs/saved-machines.md.

Nothing remains, however it ends: interrupted, failed, or with cove killed. `--keep` keeps the machine as an
instance, which is shut down after the command; `cove start NAME` starts it again. `--detach` makes an instance
that goes on running, prints its name and returns; a command given with it goes on as well, see `cove ps` and
`cove attach`.
)";

class Run final : public Action {
 public:
  void declare(Arguments& arguments) override {
    options_.declare(arguments);
    words_.declare(arguments);
    arguments.flag("--keep", keep_, "keep the machine as an instance, stopped");
    arguments.flag("--detach", detach_, "leave the machine running, print its name").brief('d');
    arguments.flag("--early", early_, "do not wait until everything in the machine is started");
    arguments.flag("--cold", cold_, "boot the machine, do not begin from a saved one");
    arguments.positional("OS", options_.os, "what is to run in the machine, as in debian:12")
        .completes(Completion::kOs);
  }

  int run(Context& context) override {
    if (words_.user.empty()) words_.user = "root";
    if (detach_) return runDetached(context);
    auto request = context.daemon().runRequest();
    options_.describe(request.initSpec(), true);
    request.setProgress(context.progressClient());
    request.setCold(cold_ || keep_);
    rpc::Socket::Client socket = nullptr;
    Made made{options_.name, newUuid()};
    request.setId(made.id);
    undoneOnInterrupt(context, [&] {
      auto response = context.wait(request.send());
      socket = response.getSocket();
      made.name = response.getName().cStr();
      if (response.hasId()) made.id = response.getId().cStr();
    });
    return keep_ ? runKept(context, made, kj::mv(socket)) : runIn(context, made, kj::mv(socket));
  }

 private:
  // The session is the machine's lease: the machine ends when cove does, by whatever cause. It is given back
  // before the deletion is asked for, which would wait for it.
  int runIn(Context& context, const Made& made, rpc::Socket::Client socket) {
    int status = discardOnFailure(context, made, [&] {
      Session session(context, made.name, kj::mv(socket));
      return runOn(context, session.target(early_), words_);
    });
    discardInstance(context, made);
    return status;
  }

  int runKept(Context& context, const Made& made, rpc::Socket::Client socket) {
    std::unique_ptr<Session> session;
    auto target = discardOnFailure(context, made, [&] {
      session = std::make_unique<Session>(context, made.name, kj::mv(socket));
      auto ready = session->target(early_);
      keep(context, made.name);
      return ready;
    });
    int status = runOn(context, kj::mv(target), words_);
    shutDown(context, made.name);
    return status;
  }

  void keep(Context& context, const std::string& name) {
    auto request = context.daemon().keepRequest();
    request.setName(name);
    context.wait(request.send());
  }

  // In order, as the end of the lease would switch it off. The daemon may be another than at the start.
  void shutDown(Context& context, const std::string& name) {
    context.reconnect();
    stopInstance(context, name, false);
    context.say(str("kept as ", name, "; to go on: cove start ", name));
  }

  // An instance of its own right, without a lease.
  int runDetached(Context& context) {
    Made made = createInstance(context, options_);
    discardOnFailure(context, made, [&] {
      startInstance(context, made.name, early_);
      if (words_.argv.empty()) return;
      auto session = Session::connect(context, made.name);
      startOn(context, session->target(early_), words_);
    });
    writeOut(made.name + "\n");
    return 0;
  }

  InstanceOptions options_;
  CommandWords words_;
  bool keep_ = false;
  bool detach_ = false;
  bool early_ = false;
  bool cold_ = false;
};

}  // namespace

constinit const Command kRun = {
    .name = "run",
    .summary = "Run a command in a machine of its own, deleted after",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<Run>,
    .passesStatus = true,
};

}  // namespace cove::cli
