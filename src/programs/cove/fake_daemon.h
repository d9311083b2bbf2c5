// A coved for tests, in a process and directories of its own: serves rpc::Daemon with instances that are only
// names, whose Target is this machine, and writes down what it was asked.
#pragma once
#include <optional>
#include <string>

#include "base/child.h"

namespace cove::cli {

class FakeDaemon {
 public:
  // Sets COVE_HOME and XDG_RUNTIME_DIR. Instances at first: "web" (ready), "off" (stopped). Of new ones, the
  // names say what becomes of them: "slow…" never gets ready, "bad…" fails, "stuck…" is never created. A run
  // of "long:1" ends only with its caller, and undoing it takes a while.
  FakeDaemon();
  ~FakeDaemon();

  // Requests so far, a line each: "delete web force".
  std::string calls() const;

  struct Result {
    Ended ended;
    std::string out, err;
  };
  // Runs cove with these words. Sends `signal` when `calls()` contains `when`.
  Result cove(std::vector<std::string> words, std::string_view input = "", int signal = 0,
              std::string_view when = "");
  std::string directory() const { return directory_; }

 private:
  std::string directory_;
  std::optional<Child> child_;
};

}  // namespace cove::cli
