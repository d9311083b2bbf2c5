#include "cove/help.h"

#include <algorithm>

#include "base/suggest.h"
#include "base/text.h"
#include "cove/context.h"

namespace cove::cli {

namespace {

constexpr std::string_view kIntroduction =
    "cove makes, runs and reaches Linux machines, each kept apart from the host and from the others.\n\n"
    "  cove run debian:12 -- cat /etc/os-release   a command in a machine of its own\n"
    "  cove start --name web debian:12             a machine that stays\n"
    "  cove shell web                              a shell in it\n";

constexpr std::string_view kManualIntroduction = R"(# Commands

Made by `cove help --markdown`; a test compares it with this page.

Results go to standard output, progress and messages to standard error. Where a command lists something,
`--output table|json|yaml` and `--format` choose the form. Text that a guest can set is escaped before it is
printed, except in `run`, `shell`, `attach` and `console`.

| exit status | |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | wrong usage |
| 3 | refused: consent or an entitlement is missing |
| 124 | `run`, `shell`, `attach`: the command's time was over |
| 125 | `run`, `shell`, `attach`: cove itself failed, whatever the cause |
| 126, 127 | `run`, `shell`, `attach`: the command cannot be executed, or was not found |
| other | `run`, `shell`, `attach`: the command's own; 128 and the number of the signal that ended it |

Interrupted by a signal, cove undoes what it was doing and dies of that signal.
)";

struct Declared {
  explicit Declared(const Command& command) : action(command.make()) {
    action->declare(arguments);
    globals.declare(arguments);
  }
  std::unique_ptr<Action> action;
  Globals globals;
  Arguments arguments;
};

std::vector<std::string> wordsOf(std::string_view name) {
  size_t space = name.find(' ');
  if (space == name.npos) return {std::string(name)};
  return {std::string(name.substr(0, space)), std::string(name.substr(space + 1))};
}

std::string optionText(const Argument& argument) {
  std::string text;
  if (argument.letter()) text = str("-", argument.letter(), ", ");
  text += argument.name();
  if (argument.kind() == Argument::Kind::kOption) text += str(" ", std::string(argument.value()));
  return text;
}

// Two columns, the first as wide as its widest entry.
std::string columns(const std::vector<std::pair<std::string, std::string>>& rows) {
  size_t width = 0;
  for (const auto& [left, right] : rows) width = std::max(width, left.size());
  std::string text;
  for (const auto& [left, right] : rows) {
    text += str("  ", left, std::string(width - left.size() + 2, ' '), right, "\n");
  }
  return text;
}

std::vector<std::pair<std::string, std::string>> argumentRows(const Arguments& arguments, bool positionals) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Argument& argument : arguments.all()) {
    bool positional = argument.kind() == Argument::Kind::kPositional;
    if (positional != positionals) continue;
    rows.emplace_back(positional ? std::string(argument.name()) : optionText(argument), argument.help());
  }
  if (positionals && arguments.hasCommand()) rows.emplace_back("COMMAND", arguments.commandHelp());
  if (!positionals) rows.emplace_back("-h, --help", "print this help");
  return rows;
}

std::string synopsis(const Command& command, const Arguments& arguments) {
  std::string text = str("cove ", std::string(command.name), " [OPTIONS]");
  for (const Argument& argument : arguments.all()) {
    if (argument.kind() == Argument::Kind::kPositional) text += " " + argument.synopsis();
  }
  if (arguments.hasCommand()) text += " [-- COMMAND...]";
  return text;
}

std::string markdownTable(const std::vector<std::pair<std::string, std::string>>& rows) {
  if (rows.empty()) return {};
  std::string text = "\n| | |\n|---|---|\n";
  for (const auto& [left, right] : rows) {
    std::string cell = left;
    for (size_t at = 0; (at = cell.find('|', at)) != cell.npos; at += 2) cell.insert(at, "\\");
    text += str("| `", cell, "` | ", right, " |\n");
  }
  return text;
}

std::string manualSection(const Command& command) {
  Declared declared(command);
  return str("\n## cove ", std::string(command.name), "\n\n", std::string(command.summary), ".\n\n```\n",
             synopsis(command, declared.arguments), "\n```\n", std::string(command.help),
             markdownTable(argumentRows(declared.arguments, true)),
             markdownTable(argumentRows(declared.arguments, false)));
}

}  // namespace

std::string overview() {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Command* command : allCommands()) {
    if (!command->hidden) rows.emplace_back(command->name, command->summary);
  }
  return str(std::string(kIntroduction), "\nCommands:\n", columns(rows),
             "\ncove help COMMAND tells more about each.\n");
}

std::string usageOf(const Command& command) {
  Declared declared(command);
  return "usage: " + synopsis(command, declared.arguments);
}

std::string helpOf(const Command& command) {
  Declared declared(command);
  std::string text =
      str(std::string(command.summary), ".\n\n", usageOf(command), "\n", std::string(command.help));
  auto positionals = argumentRows(declared.arguments, true);
  if (!positionals.empty()) text += "\nArguments:\n" + columns(positionals);
  return text + "\nOptions:\n" + columns(argumentRows(declared.arguments, false));
}

std::string manual() {
  std::string text(kManualIntroduction);
  for (const Command* command : allCommands()) {
    if (!command->hidden) text += manualSection(*command);
  }
  return text;
}

Found findCommand(const std::vector<std::string>& words) {
  for (const Command* command : allCommands()) {
    std::vector<std::string> name = wordsOf(command->name);
    if (name.size() > words.size()) continue;
    if (std::equal(name.begin(), name.end(), words.begin())) return {command, name.size()};
  }
  return {};
}

Error unknownCommand(const std::vector<std::string>& words) {
  std::vector<std::string> known, members;
  for (const Command* command : allCommands()) {
    if (command->hidden) continue;
    std::vector<std::string> name = wordsOf(command->name);
    if (name.size() == 2 && name[0] == words[0]) members.push_back(name[1]);
    known.push_back(name[0]);
  }
  if (members.empty()) {
    std::string hint = didYouMean(words[0], known);
    return usageError(str("unknown command \"", escapeForTerminal(words[0]), "\""))
        .hint(hint + (hint.empty() ? "" : "\n") + "See: cove help");
  }
  std::string list;
  for (const std::string& member : members) list += str("cove ", words[0], " ", member, "\n");
  if (words.size() == 1) return usageError(str("cove ", words[0], " needs a command")).hint(list);
  std::string hint = didYouMean(words[1], members);
  return usageError(str("unknown command \"", words[0], " ", escapeForTerminal(words[1]), "\""))
      .hint(hint.empty() ? list : hint);
}

}  // namespace cove::cli
