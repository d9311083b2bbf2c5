#include <ctime>

#include "cove/commands/all.h"
#include "cove/context.h"
#include "cove/instance_record.h"
#include "cove/output.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Lists instances with their states. `--output json` and `--format` have more about each than the table; the
fields are those of `cove info`.

- `created`: never started
- `starting`, `up`, `ready`: booting; commands can run; everything is started. `ready (degraded)`: some services
  of the guest failed, `cove info` names them
- `stopping`, `stopped`
- `paused`: the host's disk is full; the machine goes on when there is room
- `failed`: `cove info` says why
)";

class List final : public Action {
 public:
  void declare(Arguments& arguments) override { output_.declare(arguments); }

  int run(Context& context) override {
    auto response = context.wait(context.daemon().listRequest().send());
    std::vector<Record> records;
    for (auto info : response.getInstances()) records.push_back(instanceRecord(info, time(nullptr)));
    if (records.empty() && output_.isTable()) context.say("no instances; cove start debian:12 makes one");
    writeOut(output_.list(records));
    return 0;
  }

 private:
  Output output_;
};

}  // namespace

constinit const Command kList = {
    .name = "list",
    .summary = "List instances",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<List>,
};

}  // namespace cove::cli
