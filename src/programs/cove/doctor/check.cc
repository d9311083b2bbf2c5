#include "cove/doctor/check.h"

#include <pwd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

namespace cove::cli {

std::string asRoot(const std::string& command) { return geteuid() == 0 ? command : "sudo " + command; }

std::string installCommand(const std::string& package) {
  if (access("/usr/bin/apt-get", X_OK) == 0) return asRoot("apt-get install " + package);
  return "install what Debian calls " + package;
}

std::string firstLine(const std::string& path) {
  try {
    std::string text = readFile(path, 4096);
    return text.substr(0, text.find('\n'));
  } catch (const Error&) {
    return {};
  }
}

std::string shortPath(const std::string& path) {
  const struct passwd* entry = getpwuid(geteuid());
  if (!entry || !*entry->pw_dir || std::string_view(entry->pw_dir) == "/") return path;
  std::string_view home = entry->pw_dir;
  bool below = path.starts_with(home) && (path.size() == home.size() || path[home.size()] == '/');
  return below ? "~" + path.substr(home.size()) : path;
}

}  // namespace cove::cli
