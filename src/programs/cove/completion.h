// Completion in shells. The scripts are the same few lines for any version of cove: they ask `cove complete`,
// which answers from the commands' descriptors.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cove/arguments.h"

namespace cove::cli {

struct Candidate {
  std::string text, description;
};
struct Candidates {
  std::vector<Candidate> list;
  bool files = false;  // and files of the host
};

// Gives names of the kind asked for.
using NameSource = std::function<std::vector<std::string>(Completion)>;

// What the last of `words` (those behind "cove", the last maybe empty) can become.
Candidates complete(const std::vector<std::string>& words, const NameSource& names);

// The script for bash, zsh or fish.
std::string completionScript(std::string_view shell);

}  // namespace cove::cli
