// Programs of the guest that the agent itself needs.
#pragma once
#include <kj/async-unix.h>
#include <string>
#include <vector>

namespace cove::agent {

// Runs to its end without blocking the event loop, and gives stdout; a failure is an Error with the tail of
// stderr. Dropping the promise kills it.
kj::Promise<std::string> runProgram(kj::UnixEventPort& port, std::vector<std::string> argv);

}  // namespace cove::agent
