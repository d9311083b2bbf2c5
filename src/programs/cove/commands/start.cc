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

One that is suspended goes on where it stood, as by `cove resume`. With `--cold` it boots, and what was in its memory
is lost.
)";

class Start final : public Action {
 public:
  void declare(Arguments& arguments) override {
    options_.declare(arguments);
    arguments.flag("--early", early_, "return as soon as commands can run in it");
    arguments.flag("--cold", cold_, "boot it also where it is suspended");
    arguments.positional("NAME|OS", options_.os, "an instance, or what a new one is to run")
        .completes(Completion::kInstanceOrOs);
  }

  int run(Context& context) override {
    bool isNew = options_.any() || options_.os.find(':') != std::string::npos;
    if (!isNew && !isInstance(context, options_.os)) isNew = namesOs();
    return isNew ? startNew(context) : startExisting(context, instanceName("NAME", options_.os));
  }

 private:
  // "debian-12" is debian:12 where no instance has that name; any other name is meant to be an instance's.
  bool namesOs() const {
    size_t dash = options_.os.rfind('-');
    return dash != std::string::npos &&
           options_.os.find_first_not_of("0123456789.", dash + 1) == std::string::npos;
  }

  int startNew(Context& context) {
    Made made = createInstance(context, options_);
    discardOnFailure(context, made, [&] { startInstance(context, made.name, early_); });
    writeOut(made.name + "\n");
    return 0;
  }

  int startExisting(Context& context, const std::string& name) {
    // What ran, or slept, before is not to be lost.
    bool lived = isRunning(context, name) || isSuspended(context, name);
    try {
      startInstance(context, name, early_, cold_);
    } catch (const Interrupted&) {
      if (!lived) stopInstance(context, name, true);
      throw;
    }
    return 0;
  }

  InstanceOptions options_;
  bool early_ = false, cold_ = false;
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
