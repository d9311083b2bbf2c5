#include "cove/commands/all.h"
#include "cove/lifecycle.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Shuts an instance down in order: its own init stops what runs and writes everything to the disk. A guest that
has not ended when `--timeout` has passed is switched off. `--force` switches it off at once, as pulling the
plug does: what programs in it had not written is lost.

Stopping an instance that does not run is no error.
)";

class Stop final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.instance(name_);
    arguments.flag("--force", force_, "switch it off at once").brief('f');
    arguments.option(
        "--timeout", "TIME",
        [this](const std::string& text) { timeoutMs_ = durationValue("--timeout", text); },
        "how long the guest may take, 60s where not given");
  }

  int run(Context& context) override {
    stopInstance(context, name_, force_, timeoutMs_);
    return 0;
  }

 private:
  std::string name_;
  bool force_ = false;
  uint64_t timeoutMs_ = kStopTimeoutMs;
};

}  // namespace

constinit const Command kStop = {
    .name = "stop",
    .summary = "Shut an instance down",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<Stop>,
};

}  // namespace cove::cli
