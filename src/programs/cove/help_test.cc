#include "cove/help.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <set>

#include "base/fd.h"
#include "cove/context.h"

namespace cove::cli {
namespace {

TEST(Help, EveryCommandIsDescribed) {
  std::set<std::string_view> names;
  for (const Command* command : allCommands()) {
    EXPECT_TRUE(names.insert(command->name).second) << command->name;
    EXPECT_FALSE(command->summary.empty()) << command->name;
    EXPECT_FALSE(command->summary.ends_with('.')) << command->name;
    EXPECT_TRUE(command->hidden || command->help.size() > 20) << command->name;
    auto action = command->make();
    Arguments arguments;
    Globals globals;
    action->declare(arguments);
    globals.declare(arguments);
    std::set<std::string> given;
    for (const Argument& argument : arguments.all()) {
      EXPECT_TRUE(given.insert(std::string(argument.name())).second)
          << command->name << " " << argument.name();
      EXPECT_TRUE(!argument.letter() || given.insert({argument.letter()}).second) << command->name;
      EXPECT_FALSE(argument.help().empty()) << command->name << " " << argument.name();
    }
  }
}

TEST(Help, FindsCommands) {
  EXPECT_EQ(findCommand({"image", "list", "-o"}).words, 2u);
  EXPECT_EQ(findCommand({"list"}).words, 1u);
  EXPECT_EQ(findCommand({"image"}).command, nullptr);
  EXPECT_EQ(findCommand({}).command, nullptr);
}

TEST(Help, UnknownCommands) {
  EXPECT_EQ(unknownCommand({"strat"}).hint(), "Did you mean start?\nSee: cove help");
  EXPECT_EQ(unknownCommand({"image", "lsit"}).hint(), "Did you mean list?");
  EXPECT_EQ(unknownCommand({"image"}).message(), "cove image needs a command");
  EXPECT_EQ(unknownCommand({"\x1b]0;x"}).message(), "unknown command \"\\x1b]0;x\"");
  EXPECT_EQ(unknownCommand({"x"}).status(), Exit::kUsage);
}

// After a change of a command: build/debug/bin/cove help --markdown >docs/commands.md
TEST(Help, TheManualIsUpToDate) {
  EXPECT_EQ(readFile(COVE_SOURCE_DIR "/docs/commands.md", 1 << 20), manual());
}

}  // namespace
}  // namespace cove::cli
