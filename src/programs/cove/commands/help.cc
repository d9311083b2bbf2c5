#include "cove/help.h"

#include "cove/commands/all.h"
#include "cove/context.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Without a command it lists all of them.
)";

class Help final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments
        .positional(
            "COMMAND", [this](const std::string& text) { words_.push_back(text); }, "what to tell about")
        .optional()
        .repeats();
    arguments.flag("--markdown", markdown_, "print the reference of all commands in Markdown");
  }

  int run(Context&) override {
    if (markdown_) {
      writeOut(manual());
    } else if (words_.empty()) {
      writeOut(overview());
    } else if (Found found = findCommand(words_); found.command) {
      writeOut(helpOf(*found.command));
    } else {
      throw unknownCommand(words_);
    }
    return 0;
  }

 private:
  std::vector<std::string> words_;
  bool markdown_ = false;
};

}  // namespace

constinit const Command kHelp = {
    .name = "help",
    .summary = "Tell about cove or one of its commands",
    .help = kHelpText,
    .needs = Needs::kNothing,
    .make = makeAction<Help>,
};

}  // namespace cove::cli
