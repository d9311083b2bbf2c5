// From a command line to an exit status.
#pragma once
#include <string>
#include <vector>

namespace cove::cli {

// Finds the command, parses its arguments, runs it, and turns what it throws into a message on stderr and an
// exit status. Interrupted by a signal, it ends the process by that signal. `words` are those behind "cove".
int runCove(std::vector<std::string> words);

}  // namespace cove::cli
