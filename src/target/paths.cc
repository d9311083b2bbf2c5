#include "target/paths.h"

#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "rpc/limits.h"
#include "rpc/scanner.h"
#include "target/users.h"

namespace cove {

std::string resolvePath(capnp::Text::Reader path) {
  std::string result(path.begin(), path.size());
  if (result.size() > kPathBytes || result.find('\0') != std::string::npos)
    throw Error("a path is too long or holds a zero byte");
  if (result.starts_with('/')) return result;
  std::string home = userOf(::geteuid()).home;
  return result.empty() ? home : home + "/" + result;
}

Place placeOf(const std::string& path) {
  size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) throw Error("cannot use / here: it has no name");
  size_t slash = path.rfind('/', end);
  std::string name = path.substr(slash + 1, end - slash);
  if (!isSafeName(name))
    throw Error("cannot use " + escapeForTerminal(path) + " here: its last part is no name");
  return {openFile(path.substr(0, slash + 1), O_PATH | O_DIRECTORY), name};
}

bool isSafeName(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

bool isSafeTreePath(std::string_view path) {
  if (path.empty()) return true;
  if (path.size() > kPathBytes) return false;
  for (size_t depth = 1; depth <= kTreeDepth; ++depth) {
    size_t slash = path.find('/');
    if (!isSafeName(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
  return false;
}

std::string temporaryName() { return ".cove-incomplete-" + std::to_string(freshNonce()); }

}  // namespace cove
