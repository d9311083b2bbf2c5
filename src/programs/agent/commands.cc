#include "agent/commands.h"

#include <cerrno>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

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
constexpr auto kTidyAfter = 1 * kj::MILLISECONDS;  // a command was started by then, or has been answered

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

void killGroup(const std::string& group) { writeAll(openFile(group + "/cgroup.kill", O_WRONLY), "1", group); }
}  // namespace

void writeCommandsUnit() { writeUnit(kUnitName, kUnit, "sysinit.target"); }

CommandGroups::CommandGroups(kj::Timer& timer) : timer_(timer) {
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

std::string CommandGroups::parent() { return exists(kUnitGroup) ? kUnitGroup : kOwnGroup; }

CommandGroups::Group CommandGroups::makeIn(const std::string& parent) {
  if (parent == kOwnGroup && ::mkdir(kOwnGroup, 0755) < 0 && errno != EEXIST)
    throw sysError("make the cgroup", kOwnGroup);
  std::string path = str(parent, "/", ::getpid(), "-", ++made_);
  check(::mkdir(path.c_str(), 0755), "make the cgroup", path);
  return {path, openFile(path, O_RDONLY | O_DIRECTORY)};
}

// systemd removes it with its unit, when that is started again.
std::optional<CommandGroups::Group> CommandGroups::takeSpare() {
  auto spare = std::exchange(spare_, std::nullopt);
  if (spare && ::faccessat(spare->directory.get(), "cgroup.procs", F_OK, 0) < 0) spare.reset();
  return spare;
}

std::optional<CommandCgroup> CommandGroups::make() {
  auto group = takeSpare();
  if (!group) {
    if (!exists("/sys/fs/cgroup/cgroup.procs")) return std::nullopt;
    group = makeIn(parent());
  }
  tidyLater();
  return CommandCgroup{std::move(group->directory), [this, path = std::move(group->path)] {
                         left_.insert(path);
                         tidyLater();
                       }};
}

void CommandGroups::tidyLater() {
  if (std::exchange(tidying_, true)) return;
  tidied_ = timer_.afterDelay(kTidyAfter)
                .then([this] {
                  tidying_ = false;
                  removeEnded();
                  // One beside systemd's would stay there when the unit has started.
                  if (std::string in = parent(); !spare_ && in == kUnitGroup) spare_ = makeIn(in);
                })
                .eagerlyEvaluate([](kj::Exception&&) {});  // the next command says what is wrong
}

}  // namespace cove::agent
