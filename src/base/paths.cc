#include "base/paths.h"

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <pwd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {

// An absolute path from the environment, without slashes at its end. Anything else counts as unset.
std::optional<std::string> pathVariable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || value[0] != '/') return std::nullopt;
  std::string path = value;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

bool isOurs(const std::string& path) {
  struct stat st;
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == ::geteuid();
}

std::string homeOfUser() {
  if (auto home = pathVariable("HOME"); home && isOurs(*home)) return *home;
  const passwd* entry = ::getpwuid(::geteuid());
  if (entry == nullptr || entry->pw_dir == nullptr || entry->pw_dir[0] != '/')
    throw Error(str("cannot find the home directory of uid ", ::geteuid(), ": it has no passwd entry"))
        .hint("Name a directory for cove's state with COVE_HOME.");
  return entry->pw_dir;
}

// A directory that no other user can have put there or can enter.
std::optional<Fd> findPrivateDir(const std::string& path) {
  Fd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir) return std::nullopt;
  struct stat st = statOf(dir, path);
  if (st.st_uid != ::geteuid() || (st.st_mode & 077) != 0) return std::nullopt;
  return dir;
}

void makePrivateDir(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) throw sysError("make the directory", path);
}

}  // namespace

std::string stateDirPath() {
  if (const char* value = std::getenv("COVE_HOME"); value != nullptr && *value != '\0') {
    auto path = pathVariable("COVE_HOME");
    if (!path) throw Error(str("will not use COVE_HOME=", escapeForTerminal(value), ": it is not absolute"));
    return *path;
  }
  std::string home = homeOfUser();
  return (home == "/" ? "" : home) + "/.cove";
}

std::string memoryKeyPath() {
  if (const char* value = std::getenv("COVE_MEMORY_KEY"); value != nullptr && *value != '\0') {
    auto path = pathVariable("COVE_MEMORY_KEY");
    if (!path)
      throw Error(str("will not use COVE_MEMORY_KEY=", escapeForTerminal(value), ": it is not absolute"));
    return *path;
  }
  auto config = pathVariable("XDG_CONFIG_HOME");
  return (config && isOurs(*config) ? *config : homeOfUser() + "/.config") + "/cove/memory.key";
}

StateDir openStateDir(const std::string& path) {
  makePrivateDir(path);
  Fd dir = openPrivateDir(path);
  struct stat st = statOf(dir, path);
  return {path, std::move(dir), str(st.st_dev, ":", st.st_ino)};
}

RuntimeDir openRuntimeDir() {
  for (const auto& base :
       {pathVariable("XDG_RUNTIME_DIR"), std::optional<std::string>(str("/run/user/", ::geteuid()))}) {
    if (!base || !findPrivateDir(*base)) continue;
    std::string path = *base + "/cove";
    makePrivateDir(path);
    return openRuntimeDir(path);
  }
  std::string path = str("/tmp/cove-", ::geteuid());
  makePrivateDir(path);
  return openRuntimeDir(path);
}

RuntimeDir openRuntimeDir(const std::string& path) {
  if (auto dir = findPrivateDir(path)) return {path, std::move(*dir)};
  throw Error(str("will not use ", escapeForTerminal(path),
                  " for the daemon's socket: it is not a private "
                  "directory of uid ",
                  ::geteuid()))
      .hint("Remove it, or let XDG_RUNTIME_DIR name a directory of yours with mode 0700.");
}

std::string socketName(const StateDir& state) {
  struct stat st = statOf(state.fd, state.path);
  return cove::str("coved-", kj::hex(st.st_dev), "-", kj::hex(st.st_ino), ".sock");
}

std::string programPath(std::string_view name) {
  char self[4096];
  ssize_t n = ::readlink("/proc/self/exe", self, sizeof self);
  if (n <= 0 || n == sizeof self) throw sysError("find", "the running program");
  std::string dir(self, static_cast<size_t>(n));
  dir.resize(dir.rfind('/'));
  std::string beside = str(dir, "/", name), installed = str(dir, "/../libexec/cove/", name);
  for (const std::string& candidate : {beside, installed})
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  throw Error(str(name, " not found (looked in ", dir, " and ", dir, "/../libexec/cove)"));
}

}  // namespace cove
