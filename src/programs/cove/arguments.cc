#include "cove/arguments.h"

#include <charconv>

#include "base/suggest.h"
#include "base/text.h"

namespace cove::cli {

Error usageError(std::string message) { return Error(std::move(message)).status(Exit::kUsage); }

Argument& Argument::oneOf(std::vector<std::string_view> choices) {
  choices_ = std::move(choices);
  completion_ = Completion::kChoices;
  return *this;
}

std::string Argument::synopsis() const {
  std::string text(name_);
  if (kind_ == Kind::kOption) text += str(" ", std::string(value_));
  if (!required_) text = "[" + text + "]";
  if (repeats_) text += "...";
  return text;
}

Argument& Arguments::add(Argument::Kind kind, std::string_view name, std::string_view help,
                         Argument::Take take) {
  Argument& argument = all_.emplace_back();
  argument.kind_ = kind;
  argument.name_ = name;
  argument.help_ = help;
  argument.take_ = std::move(take);
  argument.required_ = kind == Argument::Kind::kPositional;
  return argument;
}

Argument& Arguments::flag(std::string_view name, bool& on, std::string_view help) {
  return add(Argument::Kind::kFlag, name, help,
             [&on, name](const std::string& value) { on = value.empty() || boolValue(name, value); });
}

Argument& Arguments::option(std::string_view name, std::string_view value, Argument::Take take,
                            std::string_view help) {
  Argument& argument = add(Argument::Kind::kOption, name, help, std::move(take));
  argument.value_ = value;
  return argument;
}

Argument& Arguments::option(std::string_view name, std::string_view value, std::string& text,
                            std::string_view help) {
  return option(
      name, value, [&text](const std::string& given) { text = given; }, help);
}

Argument& Arguments::positional(std::string_view name, Argument::Take take, std::string_view help) {
  return add(Argument::Kind::kPositional, name, help, std::move(take));
}

Argument& Arguments::positional(std::string_view name, std::string& text, std::string_view help) {
  return positional(
      name, [&text](const std::string& given) { text = given; }, help);
}

Argument& Arguments::instance(std::string& name) {
  auto take = [&name](const std::string& text) { name = instanceName("NAME", text); };
  return positional("NAME", take, "the instance").completes(Completion::kInstance);
}

void Arguments::command(std::vector<std::string>& words, std::string_view help) {
  command_ = &words;
  commandHelp_ = help;
}

void Arguments::parse(const std::vector<std::string>& words) {
  size_t at = 0;
  while (at < words.size() && words[at] != "--") {
    const std::string& word = words[at];
    if (word.starts_with("--")) {
      at = parseLong(words, at);
    } else if (word.size() > 1 && word[0] == '-') {
      at = parseShort(words, at);
    } else {
      parsePositional(word);
      ++at;
    }
  }
  if (at < words.size()) ++at;  // the "--" itself
  if (command_) {
    command_->assign(words.begin() + at, words.end());
  } else {
    for (; at < words.size(); ++at) parsePositional(words[at]);
  }
  for (const Argument& argument : all_) {
    if (argument.required_ && !argument.given_)
      throw usageError(str(std::string(argument.name_), " is missing"));
  }
}

size_t Arguments::parseLong(const std::vector<std::string>& words, size_t at) {
  std::string_view word = words[at];
  size_t equals = word.find('=');
  Argument& argument = find(word.substr(0, equals));
  argument.given_ = true;
  if (equals != word.npos) {
    std::string value(word.substr(equals + 1));
    if (argument.kind_ == Argument::Kind::kFlag) boolValue(argument.name_, value);
    argument.take_(value);
    return at + 1;
  }
  if (argument.kind_ == Argument::Kind::kFlag) {
    argument.take_("");
    return at + 1;
  }
  if (at + 1 == words.size()) throw usageError(str(std::string(argument.name_), " needs a value"));
  argument.take_(words[at + 1]);
  return at + 2;
}

size_t Arguments::parseShort(const std::vector<std::string>& words, size_t at) {
  std::string_view letters = std::string_view(words[at]).substr(1);
  for (size_t i = 0; i < letters.size(); ++i) {
    const char name[] = {'-', letters[i]};
    Argument& argument = find({name, 2});
    argument.given_ = true;
    if (argument.kind_ == Argument::Kind::kFlag) {
      argument.take_("");
      continue;
    }
    std::string rest(letters.substr(i + 1));
    if (!rest.empty()) {
      argument.take_(rest);
      return at + 1;
    }
    if (at + 1 == words.size()) throw usageError(str(std::string(argument.name_), " needs a value"));
    argument.take_(words[at + 1]);
    return at + 2;
  }
  return at + 1;
}

void Arguments::parsePositional(const std::string& word) {
  for (Argument& argument : all_) {
    if (argument.kind_ != Argument::Kind::kPositional || (argument.given_ && !argument.repeats_)) continue;
    argument.given_ = true;
    argument.take_(word);
    return;
  }
  Error error = usageError(str("there is no place for \"", escapeForTerminal(word), "\""));
  if (command_) error.hint(str("A command comes after --, as in: -- ", escapeForTerminal(word)));
  throw error;
}

Argument& Arguments::find(std::string_view name) {
  std::vector<std::string> known;
  for (Argument& argument : all_) {
    if (argument.kind_ == Argument::Kind::kPositional) continue;
    if (name == argument.name_) return argument;
    if (name.size() == 2 && name[1] == argument.letter_) return argument;
    known.emplace_back(argument.name_);
  }
  Error error = usageError(str("unknown option ", escapeForTerminal(name)));
  throw error.hint(didYouMean(name, known));
}

std::string instanceName(std::string_view what, const std::string& text) {
  if (isValidName(text)) return text;
  std::string shown = escapeForTerminal(text.substr(0, 80)) + (text.size() > 80 ? "..." : "");
  throw usageError(str(std::string(what), ": \"", shown, "\" is not a name"))
      .hint("A name has 1 to 63 of a-z, 0-9 and '-', begins with a letter and does not end with '-'.");
}

uint64_t sizeValue(std::string_view what, const std::string& text) {
  if (auto size = parseSize(text)) return *size;
  throw usageError(str(std::string(what), ": \"", escapeForTerminal(text), "\" is not a size"))
      .hint("A size is a number with K, M, G or T, as in 512M or 4G.");
}

uint64_t durationValue(std::string_view what, const std::string& text) {
  if (auto time = parseDuration(text)) return *time;
  throw usageError(str(std::string(what), ": \"", escapeForTerminal(text), "\" is not a length of time"))
      .hint("A length of time is a number with s, m, h or d, as in 90s; without one it is in seconds.");
}

uint64_t numberValue(std::string_view what, const std::string& text, uint64_t low, uint64_t high) {
  uint64_t number = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure == std::errc() && end == text.data() + text.size() && number >= low && number <= high) {
    return number;
  }
  throw usageError(
      str(std::string(what), ": \"", escapeForTerminal(text), "\" is not a number from ", low, " to ", high));
}

bool boolValue(std::string_view what, const std::string& text) {
  if (text == "true" || text == "yes" || text == "1") return true;
  if (text == "false" || text == "no" || text == "0") return false;
  throw usageError(str(std::string(what), ": \"", escapeForTerminal(text), "\" is neither true nor false"));
}

}  // namespace cove::cli
