// What a command of cove is. Each lies in a file of its own with its descriptor, its help as prose, and an
// Action made for one invocation; commands.cc has the one list.
#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "cove/arguments.h"

namespace cove::cli {

class Context;

// One invocation: holds the values that its arguments are parsed into.
class Action {
 public:
  virtual ~Action() = default;
  virtual void declare(Arguments& arguments) = 0;
  // Returns the exit status; every failure is thrown.
  virtual int run(Context& context) = 0;
};

enum class Needs {
  kNothing,  // never reaches for the daemon
  kRunning,  // uses a daemon that runs; starts none
  kDaemon    // starts one where none runs
};

struct Command {
  std::string_view name;     // "stop", or of two words: "image list"
  std::string_view summary;  // one line, no full stop
  std::string_view help;     // paragraphs in Markdown
  Needs needs;
  std::unique_ptr<Action> (*make)();
  bool hidden = false;
  // The exit status is that of a command that it runs: every failure of cove itself is 125.
  bool passesStatus = false;
};

template <typename A>
std::unique_ptr<Action> makeAction() {
  return std::make_unique<A>();
}

// All commands in the order of help.
std::span<const Command* const> allCommands();

}  // namespace cove::cli
