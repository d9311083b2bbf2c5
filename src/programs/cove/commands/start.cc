#include "base/text.h"
#include "cove/commands/all.h"
#include "cove/lifecycle.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
`cove start NAME` starts an instance; `cove start OS`, as in `cove start debian:12`, makes one first, with the
options of `cove create`, and prints its name.

It returns when the machine is ready: its init has started everything, and `cove shell` gets in. With `--early`
it returns as soon as commands can run in it. Interrupted, a new instance is deleted and an old one stopped
again. Starting one that runs is no error.
)";

class Start final : public Action {
 public:
  void declare(Arguments& arguments) override {
    options_.declare(arguments);
    arguments.flag("--early", early_, "return as soon as commands can run in it");
    arguments.positional("NAME|OS", options_.os, "an instance, or what a new one is to run")
        .completes(Completion::kInstanceOrOs);
  }

  int run(Context& context) override {
    // A name holds no colon, an operating system always does.
    if (options_.os.find(':') != std::string::npos) return startNew(context);
    if (options_.any()) {
      throw usageError(str("options of a new instance were given, but \"", escapeForTerminal(options_.os),
                           "\" is not an operating system"))
          .hint("As in: cove start --name web debian:12");
    }
    return startExisting(context, instanceName("NAME", options_.os));
  }

 private:
  int startNew(Context& context) {
    std::string name = createInstance(context, options_);
    discardOnFailure(context, name, [&] { startInstance(context, name, early_); });
    writeOut(name + "\n");
    return 0;
  }

  int startExisting(Context& context, const std::string& name) {
    bool ran = isRunning(context, name);
    try {
      startInstance(context, name, early_);
    } catch (const Interrupted&) {
      if (!ran) stopAgain(context, name);
      throw;
    }
    return 0;
  }

  static void stopAgain(Context& context, const std::string& name) {
    auto request = context.daemon().stopRequest();
    request.setName(name);
    request.setForce(true);
    context.wait(request.send());
  }

  InstanceOptions options_;
  bool early_ = false;
};

}  // namespace

constinit const Command kStart = {
    .name = "start",
    .summary = "Start an instance, or make a new one and start it",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<Start>,
};

}  // namespace cove::cli
