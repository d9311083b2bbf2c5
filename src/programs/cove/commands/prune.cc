#include "base/text.h"
#include "cove/commands/all.h"
#include "cove/context.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Removes saved machines that nothing will begin from any more: their image was deleted, or QEMU, cove's agent or the
host is another now. `--all` removes every one; the next `cove run` boots, and saves one again. Machines that run are
not touched, whatever they began from.

Prints how much disk is free again.
)";

class Prune final : public Action {
 public:
  void declare(Arguments& arguments) override { arguments.flag("--all", all_, "those in use, too"); }

  int run(Context& context) override {
    auto request = context.daemon().pruneRequest();
    request.setAll(all_);
    auto response = context.wait(request.send());
    writeOut(formatSize(response.getFreed()) + "\n");
    return 0;
  }

 private:
  bool all_ = false;
};

}  // namespace

constinit const Command kPrune = {
    .name = "prune",
    .summary = "Remove saved machines that are of no use any more",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<Prune>,
};

}  // namespace cove::cli
