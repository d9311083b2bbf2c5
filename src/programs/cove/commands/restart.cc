#include "cove/commands/all.h"
#include "cove/lifecycle.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Stops an instance as `cove stop` does and starts it again as `cove start` does. One that does not run is only
started.
)";

class Restart final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.instance(name_);
    arguments.flag("--force", force_, "switch it off instead of shutting it down").brief('f');
    arguments.flag("--early", early_, "return as soon as commands can run in it");
  }

  int run(Context& context) override {
    stopInstance(context, name_, force_);
    startInstance(context, name_, early_);
    return 0;
  }

 private:
  std::string name_;
  bool force_ = false;
  bool early_ = false;
};

}  // namespace

constinit const Command kRestart = {
    .name = "restart",
    .summary = "Stop an instance and start it again",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<Restart>,
};

}  // namespace cove::cli
