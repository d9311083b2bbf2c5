#include "cove/commands/all.h"
#include "cove/lifecycle.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Makes an instance and prints its name; `cove start NAME` starts it. The image of the operating system is built
where there is none yet, from the distribution's own archive with its signatures checked: that happens once and
takes a few minutes. A second instance shares the image and takes space only for what it writes.

Interrupted, it leaves nothing behind.
)";

class Create final : public Action {
 public:
  void declare(Arguments& arguments) override {
    options_.declare(arguments);
    arguments.positional("OS", options_.os, "what is to run in it, as in debian:12")
        .completes(Completion::kOs);
  }

  int run(Context& context) override {
    writeOut(createInstance(context, options_).name + "\n");
    return 0;
  }

 private:
  InstanceOptions options_;
};

}  // namespace

constinit const Command kCreate = {
    .name = "create",
    .summary = "Make an instance, without starting it",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<Create>,
};

}  // namespace cove::cli
