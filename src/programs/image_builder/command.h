// Runs one command inside the sandbox.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace cove::image {

// Called with each line that a command prints, without its end.
using LineCallback = std::function<void(std::string_view)>;

// Runs it with `environment` and nothing else; its output, both kinds, goes to standard error (the log) and
// line by line to `onLine`. A failure is an Error that names `what` ("cannot unpack the kernel").
void runLogged(const std::string& what, std::vector<std::string> argv,
               const std::vector<std::string>& environment, const LineCallback& onLine = {});

}  // namespace cove::image
