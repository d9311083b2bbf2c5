#include "cove/commands/all.h"
#include "cove/context.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Shuts an instance down in order: its own init stops what runs and writes everything to the disk. A guest that
has not ended when `--timeout` has passed is switched off. `--force` switches it off at once, as pulling the
plug does: what programs in it had not written is lost.

Stopping an instance that does not run is no error.
)";

constexpr uint64_t kDefaultTimeoutMs = 60'000;

class Stop final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments
        .positional(
            "NAME", [this](const std::string& text) { name_ = instanceName("NAME", text); }, "the instance")
        .completes(Completion::kInstance);
    arguments.flag("--force", force_, "switch it off at once").brief('f');
    arguments.option(
        "--timeout", "TIME",
        [this](const std::string& text) { timeoutMs_ = durationValue("--timeout", text); },
        "how long the guest may take, 60s where not given");
  }

  int run(Context& context) override {
    context.progress().show("stopping " + name_);
    auto request = context.daemon().stopRequest();
    request.setName(name_);
    request.setForce(force_);
    request.setTimeoutMs(timeoutMs_);
    context.wait(request.send());
    return 0;
  }

 private:
  std::string name_;
  bool force_ = false;
  uint64_t timeoutMs_ = kDefaultTimeoutMs;
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
