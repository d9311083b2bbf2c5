// The options of a command that runs in a machine, common to run and shell, and how it is run.
#pragma once
#include <string>
#include <vector>

#include "cove/context.h"
#include "rpc/target.capnp.h"

namespace cove::cli {

struct CommandWords {
  std::vector<std::string> argv;  // empty: a login shell
  std::vector<std::string> environment;
  std::string user, workdir;
  uint64_t timeoutMs = 0;

  void declare(Arguments& arguments);
};

// On the terminal where there is one: all three descriptors, so that redirected ones stay byte-exact and
// apart; for a shell stdin and stdout are enough.
bool wantsTerminal(const Context& context, const CommandWords& words);

// Runs it with cove's own descriptors; returns its exit status as a shell would.
int runOn(Context& context, rpc::Target::Client target, const CommandWords& words);
// Takes command `id` over in the same way.
int attachOn(Context& context, rpc::Target::Client target, uint64_t id);
// Starts it and lets go of it: `cove attach` can take it over. Returns its id.
uint64_t startOn(Context& context, rpc::Target::Client target, const CommandWords& words);

// "K=V" as it is, "K" with its value in the caller's environment; nullopt where it has none.
std::optional<std::string> environmentEntry(const std::string& text);

}  // namespace cove::cli
