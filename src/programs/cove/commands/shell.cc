#include "base/text.h"
#include "cove/command_options.h"
#include "cove/commands/all.h"
#include "cove/lifecycle.h"
#include "cove/session.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Opens a shell in a running instance, or runs a command in it: `cove shell web -- ls -l`. It runs as the user
that the instance has for you, in his home directory; he has your name and uid, and sudo. What root made for
root stays root.

Descriptors, signals and exit statuses are as in `cove run`. An instance that is booting is waited for; one that
does not run is not started.

Standard input is read whether the command wants it or not, as ssh does: in a loop that itself reads lines, write
`cove shell web -- true </dev/null`.
)";

class Shell final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.instance(name_);
    words_.declare(arguments);
    arguments.flag("--early", early_, "do not wait until everything in the machine is started");
  }

  int run(Context& context) override {
    if (words_.user.empty()) words_.user = guestUser(context, name_).name;
    auto session = Session::connect(context, name_);
    return runOn(context, session->target(early_), words_);
  }

 private:
  std::string name_;
  CommandWords words_;
  bool early_ = false;
};

}  // namespace

constinit const Command kShell = {
    .name = "shell",
    .summary = "Open a shell or run a command in an instance",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<Shell>,
    .passesStatus = true,
};

}  // namespace cove::cli
