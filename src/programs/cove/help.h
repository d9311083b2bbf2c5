// Help, usage and documentation, all made of the commands' descriptors.
#pragma once
#include <string>
#include <string_view>

#include "cove/command.h"

namespace cove::cli {

// The overview: `cove help`.
std::string overview();
// `cove help COMMAND`. Not of a terminal's width: paragraphs are wrapped as they are written.
std::string helpOf(const Command& command);
// "usage: cove stop [OPTIONS] NAME"
std::string usageOf(const Command& command);
// docs/commands.md
std::string manual();

// Finds a command by its words at the beginning of `words` and says how many it has; nullptr: none.
struct Found {
  const Command* command = nullptr;
  size_t words = 0;
};
Found findCommand(const std::vector<std::string>& words);
// What is wrong with words that name no command: unknown, or the first half of "image list".
Error unknownCommand(const std::vector<std::string>& words);

}  // namespace cove::cli
