#include "base/directory.h"

#include <cerrno>
#include <dirent.h>
#include <memory>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

namespace cove {

bool isThere(const Fd& dir, const std::string& name) {
  struct stat st;
  if (::fstatat(dir.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno != ENOENT) throw sysError("look for", name);
  return false;
}

std::vector<std::string> entriesOf(const Fd& dir) {
  // A descriptor of its own: the stream takes it over, and reads from the beginning.
  Fd again = openAt(dir, ".", O_RDONLY | O_DIRECTORY);
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(again.get()), ::closedir);
  if (!stream) throw sysError("read", "a directory");
  again.release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) throw sysError("read", "a directory");
  return names;
}

void removeTree(const Fd& parent, const std::string& name) {
  if (::unlinkat(parent.get(), name.c_str(), 0) == 0 || errno == ENOENT) return;
  if (errno != EISDIR && errno != EPERM) throw sysError("delete", name);
  Fd dir = openAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  for (const std::string& entry : entriesOf(dir)) removeTree(dir, entry);
  if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT)
    throw sysError("delete", name);
}

uint64_t sizeOf(const Fd& dir) {
  uint64_t blocks = 0;
  for (const std::string& name : entriesOf(dir)) {
    struct stat st;
    if (::fstatat(dir.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0)
      blocks += static_cast<uint64_t>(st.st_blocks);
  }
  return blocks * 512;
}

}  // namespace cove
