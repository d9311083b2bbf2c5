// Starts a program as vfork(2) does: the child borrows our memory until it executes, so the cost does not
// grow with us, and its errors are known when spawn() returns.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "target/users.h"

namespace cove {

struct SpawnOptions {
  std::vector<std::string> argv;         // argv[0] is looked up in PATH unless `program` is set
  std::vector<std::string> environment;  // the whole of it
  std::string program;
  std::string workdir;
  std::string workdirElse;   // where `workdir` is missing; "": that is an error
  std::optional<User> user;  // to become, by a server that is root
  int stdin = -1, stdout = -1, stderr = -1;
  bool terminal = false;       // stdin becomes the controlling terminal
  int cgroup = -1;             // directory of a cgroup to start in; -1: ours
  bool resetOomScore = false;  // oom_score_adj 0, whatever ours is
};

// Why there is no process. `found` false: there is no such program (exit status 127, else 126).
struct NotSpawned {
  bool found = true;
  std::string reason;
};

// A session and process group of its own, default signals, umask 022. Not reaped by its destructor.
struct Spawned {
  pid_t pid = 0;
  Fd pidfd;
  std::optional<NotSpawned> failure;
};
Spawned spawn(const SpawnOptions& options);

}  // namespace cove
