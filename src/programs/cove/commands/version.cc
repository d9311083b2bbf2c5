#include "base/version.h"

#include "base/text.h"
#include "cove/commands/all.h"
#include "cove/output.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Prints the version of the command line; `cove daemon state` has that of the daemon.
)";

class Version final : public Action {
 public:
  void declare(Arguments& arguments) override { output_.declare(arguments); }

  int run(Context&) override {
    std::string number(version());
    writeOut(output_.isTable() ? "cove " + number + "\n" : output_.single({{"version", number}}));
    return 0;
  }

 private:
  Output output_;
};

}  // namespace

constinit const Command kVersion = {
    .name = "version",
    .summary = "Print the version of cove",
    .help = kHelpText,
    .needs = Needs::kNothing,
    .make = makeAction<Version>,
};

}  // namespace cove::cli
