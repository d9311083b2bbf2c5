#include "base/text.h"
#include "cove/commands/all.h"
#include "cove/context.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Deletes instances and everything that they hold. It cannot be undone. One that runs is refused unless `--force`
is given, which switches it off first. The image that an instance was made from stays; see `cove image delete`.
)";

class Delete final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments
        .positional(
            "NAME", [this](const std::string& text) { names_.push_back(instanceName("NAME", text)); },
            "the instances")
        .completes(Completion::kInstance)
        .repeats();
    arguments.flag("--force", force_, "also where they run").brief('f');
  }

  int run(Context& context) override {
    for (const std::string& name : names_) {
      context.progress().show("deleting " + name);
      auto request = context.daemon().deleteRequest();
      request.setName(name);
      request.setForce(force_);
      context.wait(request.send());
    }
    return 0;
  }

 private:
  std::vector<std::string> names_;
  bool force_ = false;
};

}  // namespace

constinit const Command kDelete = {
    .name = "delete",
    .summary = "Delete instances with all that they hold",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<Delete>,
};

}  // namespace cove::cli
