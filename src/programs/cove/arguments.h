// The arguments of one command, declared once: parsing, help, docs/commands.md and completion are made of the
// same declaration, so that none of them can drift from another.
//
// Grammar: options stand anywhere before `--`; `--name VALUE`, `--name=VALUE`, `-n VALUE`, `-nVALUE`; flags
// take no value except `--flag=true|false`. What follows `--` is the command to run where the command has
// one, else positionals. Values are taken byte for byte: nothing is expanded, split or trimmed.
#pragma once
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cove::cli {

// A wrong command line: exit status 2 (125 under run and shell).
Error usageError(std::string message);

// What a shell offers for a value.
enum class Completion { kNothing, kInstance, kOs, kInstanceOrOs, kImage, kPath, kInstancePath, kChoices };

class Argument {
 public:
  enum class Kind { kFlag, kOption, kPositional };
  using Take = std::function<void(const std::string& value)>;

  Argument& brief(char letter) { return letter_ = letter, *this; }
  Argument& completes(Completion with) { return completion_ = with, *this; }
  Argument& oneOf(std::vector<std::string_view> choices);
  Argument& optional() { return required_ = false, *this; }
  Argument& repeats() { return repeats_ = true, *this; }

  Kind kind() const { return kind_; }
  std::string_view name() const { return name_; }    // "--force", or "NAME" of a positional
  std::string_view value() const { return value_; }  // what stands for the value in help: "SIZE"
  std::string_view help() const { return help_; }
  char letter() const { return letter_; }
  Completion completion() const { return completion_; }
  const std::vector<std::string_view>& choices() const { return choices_; }
  bool isRequired() const { return required_; }
  bool isRepeated() const { return repeats_; }
  std::string synopsis() const;  // "[--name NAME]", "NAME", "[PATH]..."

 private:
  friend class Arguments;
  Kind kind_ = Kind::kFlag;
  std::string_view name_, value_, help_;
  char letter_ = 0;
  Completion completion_ = Completion::kNothing;
  std::vector<std::string_view> choices_;
  bool required_ = false;
  bool repeats_ = false;
  bool given_ = false;
  Take take_;
};

// Texts given to it are literals: they are kept by view.
class Arguments {
 public:
  Argument& flag(std::string_view name, bool& on, std::string_view help);
  Argument& option(std::string_view name, std::string_view value, Argument::Take take, std::string_view help);
  Argument& option(std::string_view name, std::string_view value, std::string& text, std::string_view help);
  Argument& positional(std::string_view name, Argument::Take take, std::string_view help);
  Argument& positional(std::string_view name, std::string& text, std::string_view help);
  // NAME, an instance that there is.
  Argument& instance(std::string& name);
  // The words after `--`.
  void command(std::vector<std::string>& words, std::string_view help);

  // Gives each word to who declared it; anything else is a usage error.
  void parse(const std::vector<std::string>& words);

  const std::deque<Argument>& all() const { return all_; }
  bool hasCommand() const { return command_ != nullptr; }
  std::string_view commandHelp() const { return commandHelp_; }

 private:
  Argument& add(Argument::Kind kind, std::string_view name, std::string_view help, Argument::Take take);
  // Each takes what begins at words[at] and returns the place of the next word.
  size_t parseLong(const std::vector<std::string>& words, size_t at);
  size_t parseShort(const std::vector<std::string>& words, size_t at);
  void parsePositional(const std::string& word);
  Argument& find(std::string_view name);

  std::deque<Argument> all_;  // references to its elements stay valid
  std::vector<std::string>* command_ = nullptr;
  std::string_view commandHelp_;
};

// Values that several commands take; `what` names the argument in the error.
std::string instanceName(std::string_view what, const std::string& text);
uint64_t sizeValue(std::string_view what, const std::string& text);
uint64_t durationValue(std::string_view what, const std::string& text);  // milliseconds
uint64_t numberValue(std::string_view what, const std::string& text, uint64_t low, uint64_t high);
bool boolValue(std::string_view what, const std::string& text);

}  // namespace cove::cli
