#include "agent/modules.h"

#include <cerrno>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

namespace cove::agent {

namespace {
constexpr size_t kLongestList = 64 * 1024;

void loadModule(const std::string& path) {
  Fd file = openFile(path, O_RDONLY | O_NOFOLLOW);
  if (::syscall(SYS_finit_module, file.get(), "", 0) < 0 && errno != EEXIST)
    throw sysError("load the kernel module", path);
}
}  // namespace

std::vector<std::string> parseModuleList(std::string_view text) {
  std::vector<std::string> modules;
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;
    if (line.front() != '/' || line.find('\0') != std::string_view::npos)
      throw Error("the list of kernel modules has a line that is no absolute path: " + std::string(line));
    modules.emplace_back(line);
  }
  return modules;
}

void loadModules(const std::string& list) {
  std::string text;
  try {
    text = readFile(list, kLongestList);
  } catch (const Error& e) {
    if (e.code() == ENOENT) return;
    throw;
  }
  for (const std::string& path : parseModuleList(text)) {
    loadModule(path);
    ::unlink(path.c_str());
  }
  ::unlink(list.c_str());
}

}  // namespace cove::agent
