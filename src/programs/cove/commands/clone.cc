#include "base/text.h"
#include "base/uuid.h"
#include "cove/commands/all.h"
#include "cove/context.h"
#include "cove/lifecycle.h"
#include "rpc/error.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Makes an instance that is what another one is now. Both go on from the same disk, which takes no room and next to
no time; what each writes from then on is its own.

A clone of an instance that runs, or is suspended, has its memory too: it is suspended where the other stood, and
`cove resume` lets it go on there. Whatever was in that memory, passwords and keys as well, is then in both.

When a clone first runs it gets what must be its own: machine-id, name, ssh host keys, random numbers. Other copies
of these that programs made for themselves are the same in both.
)";

class Clone final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.instance(name_);
    arguments.positional(
        "NEW", [this](const std::string& text) { made_.name = instanceName("NEW", text); },
        "the name of the new one");
  }

  int run(Context& context) override {
    made_.id = newUuid();
    auto request = context.daemon().cloneRequest();
    request.setName(name_);
    request.setNewName(made_.name);
    request.setId(made_.id);
    request.setProgress(context.progressClient());
    bool suspended = false;
    try {
      suspended = context.wait(request.send()).getSuspended();
    } catch (const Interrupted&) {
      awaitUndone(context);
      discardInstance(context, made_);  // if all was done, and its answer on the way
      throw;
    }
    context.progress().clear();
    if (suspended)
      context.say(cove::str("what is in the memory of ", name_, ", secrets too, is now in ", made_.name,
                            " as well; cove resume ", made_.name, " lets it go on"));
    return 0;
  }

 private:
  std::string name_;
  Made made_;
};

}  // namespace

constinit const Command kClone = {
    .name = "clone",
    .summary = "Make a copy of an instance",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<Clone>,
};

}  // namespace cove::cli
