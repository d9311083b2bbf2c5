#include "base/text.h"
#include "cove/commands/all.h"
#include "cove/context.h"
#include "cove/lifecycle.h"
#include "rpc/error.h"

namespace cove::cli {

namespace {

constexpr std::string_view kSuspendHelp = R"(
Puts an instance to sleep: what is in its memory is written to the disk, encrypted, and nothing runs of it until
`cove resume`. That survives a restart of the host. The key lies outside of cove's state, in
`~/.config/cove/memory.key`, or where `COVE_MEMORY_KEY` says; without it no suspended instance goes on.

When it cannot be done the instance goes on. Suspending one that is suspended is no error.
)";

constexpr std::string_view kResumeHelp = R"(
Lets a suspended instance go on where it stood, with the time of now. Connections between its own programs are as
they were, those to others are reset. `cove attach` finds the commands that run in it.

Where that fails, or is killed, before the guest has answered, nothing is lost: it is suspended as it was, and can be
resumed again. `cove start --cold` boots it without what was in its memory.
)";

class Suspend final : public Action {
 public:
  void declare(Arguments& arguments) override { arguments.instance(name_); }

  int run(Context& context) override {
    context.progress().show("suspending " + name_);
    auto request = context.daemon().suspendRequest();
    request.setName(name_);
    context.wait(request.send());
    return 0;
  }

 private:
  std::string name_;
};

class Resume final : public Action {
 public:
  void declare(Arguments& arguments) override { arguments.instance(name_); }

  int run(Context& context) override {
    if (!isRunning(context, name_) && !isSuspended(context, name_))
      throw Error(cove::str("cannot resume ", name_, ": it is not suspended"))
          .hint(cove::str("Start it:\n  cove start ", name_));
    startInstance(context, name_, false, false);
    return 0;
  }

 private:
  std::string name_;
};

}  // namespace

constinit const Command kSuspend = {
    .name = "suspend",
    .summary = "Put an instance to sleep, with all that runs in it",
    .help = kSuspendHelp,
    .needs = Needs::kDaemon,
    .make = makeAction<Suspend>,
};
constinit const Command kResume = {
    .name = "resume",
    .summary = "Let a suspended instance go on",
    .help = kResumeHelp,
    .needs = Needs::kDaemon,
    .make = makeAction<Resume>,
};

}  // namespace cove::cli
