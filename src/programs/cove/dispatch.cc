#include "cove/dispatch.h"

#include <algorithm>
#include <csignal>
#include <unistd.h>

#include "base/privileges.h"
#include "base/text.h"
#include "cove/context.h"
#include "cove/help.h"
#include "cove/stdio.h"
#include "rpc/error.h"

namespace cove::cli {

namespace {

void printError(const Error& error) {
  std::string text = "cove: " + escapeForTerminal(error.message()) + "\n";
  std::string_view hint = error.hint();
  while (!hint.empty()) {
    size_t end = std::min(hint.find('\n'), hint.size());
    text += "  " + escapeForTerminal(hint.substr(0, end)) + "\n";
    hint.remove_prefix(std::min(end + 1, hint.size()));
  }
  writeErr(text);
}

// Ends as the signal would have ended it, so that a calling shell stops its loop.
int dieOf(int number) {
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, number);
  signal(number, SIG_DFL);
  raise(number);
  sigprocmask(SIG_UNBLOCK, &only, nullptr);
  return 128 + number;
}

bool asksForHelp(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--") return false;
    if (word == "--help" || word == "-h") return true;
  }
  return false;
}

int runCommand(const Command& command, const std::vector<std::string>& words) {
  if (asksForHelp(words)) {
    writeOut(helpOf(command));
    return 0;
  }
  std::unique_ptr<Action> action = command.make();
  Globals globals;
  Arguments arguments;
  action->declare(arguments);
  globals.declare(arguments);
  try {
    arguments.parse(words);
  } catch (Error& error) {
    std::string hint = error.hint();
    throw error.hint(hint + (hint.empty() ? "" : "\n") + usageOf(command));
  }
  Context context(command, globals);
  return action->run(context);
}

// Options of every command may also stand before it. Takes them from the front of `words`.
std::vector<std::string> takeLeadingOptions(std::vector<std::string>& words) {
  auto isOption = [](const std::string& word) {
    return word == "-q" || word == "--quiet" || word == "--tty" || word.starts_with("--tty=");
  };
  auto end = std::find_if_not(words.begin(), words.end(), isOption);
  std::vector<std::string> options(words.begin(), end);
  words.erase(words.begin(), end);
  return options;
}

int dispatch(std::vector<std::string> words) {
  std::vector<std::string> options = takeLeadingOptions(words);
  if (words.empty()) {
    writeErr(overview());
    return static_cast<int>(Exit::kUsage);
  }
  if (words[0] == "--help" || words[0] == "-h") words[0] = "help";
  if (words[0] == "--version") words[0] = "version";
  Found found = findCommand(words);
  if (!found.command) throw unknownCommand(words);
  words.erase(words.begin(), words.begin() + found.words);
  words.insert(words.begin(), options.begin(), options.end());
  try {
    return runCommand(*found.command, words);
  } catch (const Interrupted& interrupted) {
    return dieOf(interrupted.signal);
  } catch (...) {
    Error error = currentError();
    if (found.command->passesStatus) error.status(Exit::kRunFailed);
    throw error;
  }
}

}  // namespace

int runCove(std::vector<std::string> words) {
  try {
    guardStandardDescriptors();
    keepOutOfCores();  // what is typed into a machine, and what it prints
    return dispatch(std::move(words));
  } catch (...) {
    Error error = currentError();
    printError(error);
    return static_cast<int>(error.status());
  }
}

}  // namespace cove::cli
