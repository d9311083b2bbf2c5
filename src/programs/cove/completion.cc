#include "cove/completion.h"

#include "cove/context.h"
#include "cove/help.h"

namespace cove::cli {

namespace {

// A ":files" line asks for files of the host. bash breaks words at ':' and '=', puts the pieces into
// COMP_WORDS, and replaces only the piece under the cursor.
constexpr std::string_view kBash = R"(# bash completion of cove
_cove() {
  local words=() piece glue= i line cur prefix
  for ((i = 1; i <= COMP_CWORD; i++)); do
    piece=${COMP_WORDS[i]}
    if [[ ${#words[@]} -gt 0 && ( -n $glue || $piece == [:=]* ) ]]; then
      words[${#words[@]}-1]+=$piece
    else
      words+=("$piece")
    fi
    [[ $piece == [:=] ]] && glue=1 || glue=
  done
  cur=${words[${#words[@]}-1]}
  prefix=${cur%"${cur##*[:=]}"}
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o default
    else
      line=${line%%$'\t'*}
      [[ $line == *: ]] && compopt -o nospace
      COMPREPLY+=("${line#"$prefix"}")
    fi
  done < <(cove complete -- "${words[@]}" 2>/dev/null)
}
complete -F _cove cove
)";

constexpr std::string_view kZsh = R"(#compdef cove
_cove() {
  local -a found
  local line files
  for line in "${(@f)$(cove complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == :files ]]; then
      files=1
    elif [[ -n $line ]]; then
      found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    fi
  done
  (( ${#found} )) && _describe cove found
  [[ -n $files ]] && _files
}
compdef _cove cove
)";

constexpr std::string_view kFish = R"(# fish completion of cove
function __cove_complete
  set -l words (commandline -opc) (commandline -ct)
  for line in (cove complete -- $words[2..-1] 2>/dev/null)
    if test "$line" = ":files"
      __fish_complete_path (commandline -ct)
    else
      echo $line
    end
  end
end
complete -c cove -f -a '(__cove_complete)'
)";

class Completer {
 public:
  Completer(const std::vector<std::string>& words, const NameSource& names)
      : words_(words), current_(words.back()), names_(names) {}

  Candidates run() {
    Found found = findCommand({words_.begin(), words_.end() - 1});
    if (!found.command) {
      offerCommands();
      return std::move(result_);
    }
    std::unique_ptr<Action> action = found.command->make();
    Globals globals;
    Arguments arguments;
    action->declare(arguments);
    globals.declare(arguments);
    offerArgument(arguments, found.words);
    return std::move(result_);
  }

 private:
  void offer(std::string text, std::string_view description) {
    if (text.starts_with(current_)) result_.list.push_back({std::move(text), std::string(description)});
  }

  void offerCommands() {
    std::string before;
    for (size_t i = 0; i + 1 < words_.size(); ++i) before += words_[i] + " ";
    std::string last;
    for (const Command* command : allCommands()) {
      if (command->hidden || !command->name.starts_with(before)) continue;
      std::string_view rest = command->name.substr(before.size());
      std::string word(rest.substr(0, rest.find(' ')));
      if (word == last) continue;
      last = word;
      offer(word, command->summary);
    }
  }

  static const Argument* optionNamed(const Arguments& arguments, std::string_view name) {
    for (const Argument& argument : arguments.all()) {
      if (argument.kind() != Argument::Kind::kOption) continue;
      bool brief = name.size() == 2 && name[0] == '-' && name[1] == argument.letter();
      if (name == argument.name() || brief) return &argument;
    }
    return nullptr;
  }

  void offerArgument(const Arguments& arguments, size_t at) {
    size_t positionals = 0;
    for (; at + 1 < words_.size(); ++at) {
      const std::string& word = words_[at];
      if (word == "--") return;  // a command of the guest
      if (!word.starts_with('-')) {
        ++positionals;
      } else if (const Argument* option = optionNamed(arguments, word)) {
        if (at + 2 == words_.size()) return offerValue(*option, "");
        ++at;
      }
    }
    size_t equals = current_.find('=');
    if (current_.starts_with("--") && equals != current_.npos) {
      const Argument* option = optionNamed(arguments, current_.substr(0, equals));
      if (option) offerValue(*option, current_.substr(0, equals + 1));
    } else if (current_.starts_with('-')) {
      offerOptions(arguments);
    } else {
      offerPositional(arguments, positionals);
    }
  }

  void offerOptions(const Arguments& arguments) {
    for (const Argument& argument : arguments.all()) {
      if (argument.kind() != Argument::Kind::kPositional)
        offer(std::string(argument.name()), argument.help());
    }
    offer("--help", "print help");
  }

  void offerPositional(const Arguments& arguments, size_t index) {
    for (const Argument& argument : arguments.all()) {
      if (argument.kind() != Argument::Kind::kPositional) continue;
      if (index == 0 || argument.isRepeated()) return offerValue(argument, "");
      --index;
    }
  }

  void offerValue(const Argument& argument, const std::string& prefix) {
    for (std::string_view choice : argument.choices()) offer(prefix + std::string(choice), argument.help());
    switch (argument.completion()) {
      case Completion::kPath:
        result_.files = true;
        return;
      case Completion::kInstancePath:
        result_.files = true;
        for (const std::string& name : names_(Completion::kInstance)) offer(prefix + name + ":", "instance");
        return;
      case Completion::kInstanceOrOs:
        for (const std::string& name : names_(Completion::kInstance)) offer(prefix + name, "instance");
        for (const std::string& name : names_(Completion::kOs)) offer(prefix + name, "new instance");
        return;
      case Completion::kInstance:
      case Completion::kImage:
      case Completion::kOs:
        for (const std::string& name : names_(argument.completion())) offer(prefix + name, argument.help());
        return;
      case Completion::kNothing:
      case Completion::kChoices:
        return;
    }
  }

  const std::vector<std::string>& words_;
  const std::string& current_;
  const NameSource& names_;
  Candidates result_;
};

}  // namespace

Candidates complete(const std::vector<std::string>& words, const NameSource& names) {
  return Completer(words, names).run();
}

std::string completionScript(std::string_view shell) {
  if (shell == "bash") return std::string(kBash);
  if (shell == "zsh") return std::string(kZsh);
  if (shell == "fish") return std::string(kFish);
  throw usageError("SHELL: known are bash, zsh and fish");
}

}  // namespace cove::cli
