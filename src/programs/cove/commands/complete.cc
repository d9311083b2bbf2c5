#include "base/text.h"
#include "cove/commands/all.h"
#include "cove/completion.h"
#include "cove/context.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

// Known to every daemon of this version; others that an image exists of are added.
constexpr std::string_view kShippedOs[] = {"debian:12", "debian:13"};

class Complete final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.command(words_, "the words behind cove, the last being the one to complete");
  }

  int run(Context& context) override {
    if (words_.empty()) words_.emplace_back();
    Candidates candidates = complete(words_, [&](Completion kind) { return names(context, kind); });
    std::string text;
    if (candidates.files) text += ":files\n";
    for (const Candidate& candidate : candidates.list) {
      text += escapeForTerminal(candidate.text) + "\t" + candidate.description + "\n";
    }
    writeOut(text);
    return 0;
  }

 private:
  // None where no daemon runs: pressing Tab starts nothing.
  static std::vector<std::string> names(Context& context, Completion kind) {
    std::vector<std::string> result;
    if (kind == Completion::kOs) result.assign(std::begin(kShippedOs), std::end(kShippedOs));
    try {
      if (kind == Completion::kInstance) {
        auto response = context.wait(context.daemon().listRequest().send());
        for (auto info : response.getInstances()) result.emplace_back(info.getName().cStr());
      } else if (kind == Completion::kImage) {
        auto response = context.wait(context.daemon().imagesRequest().send());
        for (auto image : response.getImages()) result.emplace_back(image.getDigest().cStr());
      }
    } catch (const Interrupted&) {
      throw;
    } catch (...) {
      return result;  // a line half typed is no place for messages
    }
    return result;
  }

  std::vector<std::string> words_;
};

}  // namespace

constinit const Command kComplete = {
    .name = "complete",
    .summary = "Answer a shell's completion script",
    .help = "",
    .needs = Needs::kRunning,
    .make = makeAction<Complete>,
    .hidden = true,
};

}  // namespace cove::cli
