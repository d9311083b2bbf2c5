// A cgroup for each command, so that the end of the machine, or of its memory, hits commands and not the
// agent.
//
// Under systemd they lie in the cgroup of a unit that delegates it: one unit for all of them, since asking
// systemd for one each would cost more than most commands. Stopping it, as every shutdown does, ends them.
// Before it has started, and under another init, they lie in a cgroup of their own beside systemd's.
#pragma once
#include <kj/timer.h>
#include <optional>
#include <set>
#include <string>

#include "base/fd.h"
#include "target/local.h"

namespace cove::agent {

// Puts the unit where systemd finds it when it starts: /run/systemd/system.
void writeCommandsUnit();

class CommandGroups {
 public:
  // Kills what a previous agent's commands left.
  explicit CommandGroups(kj::Timer& timer);
  // nullopt where the guest has no cgroup v2.
  std::optional<CommandCgroup> make();

 private:
  struct Group {
    std::string path;
    Fd directory;
  };
  static std::string parent();
  Group makeIn(const std::string& parent);
  std::optional<Group> takeSpare();
  void tidyLater();
  void removeEnded();

  kj::Timer& timer_;
  uint64_t made_ = 0;
  // Making a cgroup and removing one takes as long as starting a program. So the next command's is made, and
  // those before removed, while a command runs.
  std::optional<Group> spare_;
  bool tidying_ = false;
  kj::Promise<void> tidied_ = nullptr;
  // Commands may leave processes behind, which go on as they would after any logout; their cgroups are
  // removed when they are empty.
  std::set<std::string> left_;
};

}  // namespace cove::agent
