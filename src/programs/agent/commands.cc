#include "agent/commands.h"

#include <cerrno>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/etc.h"
#include "base/error.h"
#include "base/text.h"

namespace cove::agent {

namespace {
constexpr const char* kUnitName = "cove-commands.service";
// The lines below [Unit]: as early as it can be, and ended at shutdown before file systems are unmounted.
// The sleeper keeps the cgroup: systemd removes that of a unit without processes. It has a name of its own,
// because the unit ends with it, and `pkill sleep` must not mean that. One command that runs out of memory
// must not stop all of them (OOMPolicy). An interactive shell ignores SIGTERM, but not SIGHUP.
constexpr const char* kUnit = R"([Unit]
Description=Commands that cove runs
DefaultDependencies=no
After=local-fs.target
Conflicts=shutdown.target
Before=shutdown.target

[Service]
ExecStart=/bin/sh -c "echo cove-commands >/proc/$$$$/comm; while :; do sleep 2147483647; done"
Restart=always
Delegate=yes
TasksMax=infinity
OOMScoreAdjust=-1000
OOMPolicy=continue
SendSIGHUP=yes
TimeoutStopSec=5s
)";
constexpr const char* kUnitGroup = "/sys/fs/cgroup/system.slice/cove-commands.service";
constexpr const char* kOwnGroup = "/sys/fs/cgroup/cove";

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

void killGroup(const std::string& group) { writeAll(openFile(group + "/cgroup.kill", O_WRONLY), "1", group); }
}  // namespace

void writeCommandsUnit() { writeUnit(kUnitName, kUnit, "sysinit.target"); }

CommandGroups::CommandGroups() {
  // Each of them, not the unit's as a whole, which holds the sleeper.
  std::error_code ignored;
  for (const char* parent : {kUnitGroup, kOwnGroup})
    for (const auto& entry : std::filesystem::directory_iterator(parent, ignored))
      if (entry.is_directory(ignored)) left_.insert(entry.path());
  for (const std::string& group : left_) killGroup(group);
  removeEnded();
}

void CommandGroups::removeEnded() {
  std::erase_if(left_, [](const std::string& path) { return ::rmdir(path.c_str()) == 0 || errno == ENOENT; });
}

std::optional<CommandCgroup> CommandGroups::make() {
  if (!exists("/sys/fs/cgroup/cgroup.procs")) return std::nullopt;
  std::string parent = exists(kUnitGroup) ? kUnitGroup : kOwnGroup;
  if (parent == kOwnGroup && ::mkdir(kOwnGroup, 0755) < 0 && errno != EEXIST)
    throw sysError("make the cgroup", kOwnGroup);
  std::string path = str(parent, "/", ::getpid(), "-", ++made_);
  check(::mkdir(path.c_str(), 0755), "make the cgroup", path);
  return CommandCgroup{openFile(path, O_RDONLY | O_DIRECTORY), [this, path] {
                         left_.insert(path);
                         removeEnded();
                       }};
}

}  // namespace cove::agent
