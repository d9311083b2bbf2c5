// Where things are: the only place that knows.
//
//   state directory    $COVE_HOME, else .cove in the home of the effective user; his, mode 0700
//   runtime directory  cove/ in $XDG_RUNTIME_DIR, else in /run/user/UID, else /tmp/cove-UID; his, mode 0700
//   programs           beside the running one, else in ../libexec/cove
//
// HOME and XDG_RUNTIME_DIR may be those of another user (under sudo): a directory of another owner is ignored
// there, and refused where COVE_HOME names it.
#pragma once
#include <string>
#include <string_view>

#include "base/fd.h"

namespace cove {

// Names inside the state directory. No instance can be called so: none is a valid name (isValidName).
inline constexpr const char* kDatabaseName = "cove.db";
inline constexpr const char* kImagesName = "_images";
inline constexpr const char* kSavedName = "_saved";
inline constexpr const char* kLifeLockName = "life.lock";    // held by coved as long as it lives
inline constexpr const char* kStartLockName = "start.lock";  // held by a client while it starts coved
inline constexpr const char* kDaemonLogName = "coved.log";

struct StateDir {
  std::string path;  // absolute
  Fd fd;
  std::string id;  // "DEV:INO": which one it is, by whatever path it was reached
};
// Absolute; nothing is created or examined beyond the home directory's owner.
std::string stateDirPath();
// Created (0700) when missing; an Error when it is another user's or open to others.
StateDir openStateDir(const std::string& path = stateDirPath());

struct RuntimeDir {
  std::string path;
  Fd fd;
};
RuntimeDir openRuntimeDir();
// One at a path that was recorded earlier; the same checks, nothing is created.
RuntimeDir openRuntimeDir(const std::string& path);
// Of suspended machines (instance/memory_key.h), outside of the state directory: $COVE_MEMORY_KEY, else
// cove/memory.key in $XDG_CONFIG_HOME, else in .config in the home of the effective user.
std::string memoryKeyPath();
// coved's socket in the runtime directory: one name for each state directory.
std::string socketName(const StateDir& state);

// Path of another program of cove. An Error names where it was looked for.
std::string programPath(std::string_view name);

}  // namespace cove
