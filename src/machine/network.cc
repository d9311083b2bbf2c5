#include "machine/network.h"

#include "base/error.h"
#include "base/paths.h"
#include "base/text.h"
#include "machine/network_process.h"

namespace cove {

Child startNetwork(Fd frames, const NetworkOptions& options) {
  Pipe readiness = makePipe();
  Child::Spec spec;
  spec.argv = {options.program.empty() ? programPath("cove-network") : options.program};
  spec.env.emplace();
  spec.fds.emplace_back(network::kFramesFd, std::move(frames));
  spec.fds.emplace_back(network::kReadinessFd, std::move(readiness.write));
  spec.dieWithParent = true;
  Child child = Child::start(std::move(spec));
  std::string report = readAll(readiness.read, 4096, "the report of the network process");
  if (report == "R") return child;
  std::string reason =
      report.starts_with("E") ? report.substr(1) : "it ended with " + child.wait().describe();
  throw Error("cannot start the guest's network: " + escapeForTerminal(reason));
}

}  // namespace cove
