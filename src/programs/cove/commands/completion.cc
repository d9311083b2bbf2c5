#include "cove/completion.h"

#include "base/text.h"
#include "cove/commands/all.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Prints a script that makes a shell complete commands, options and the names of instances and images. For bash,
in `~/.bashrc`: `source <(cove completion bash)`; for zsh, in `~/.zshrc` after `compinit`:
`source <(cove completion zsh)`; for fish, once: `cove completion fish > ~/.config/fish/completions/cove.fish`.
)";

class CompletionScript final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.positional("SHELL", shell_, "bash, zsh or fish").oneOf({"bash", "zsh", "fish"});
  }

  int run(Context&) override {
    writeOut(completionScript(shell_));
    return 0;
  }

 private:
  std::string shell_;
};

}  // namespace

constinit const Command kCompletion = {
    .name = "completion",
    .summary = "Print a script for completion in a shell",
    .help = kHelpText,
    .needs = Needs::kNothing,
    .make = makeAction<CompletionScript>,
};

}  // namespace cove::cli
