#include "target/directory.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <memory>

#include "base/error.h"
#include "base/text.h"

namespace cove {

std::vector<std::string> entriesOf(const Fd& directory, size_t limit, const std::string& subject) {
  Fd copy = openAt(directory, ".", O_RDONLY | O_DIRECTORY);  // a position of its own
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(copy.get()), ::closedir);
  if (!stream) throw sysError("list", subject);
  copy.release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    dirent* entry = ::readdir(stream.get());
    if (entry == nullptr && errno != 0) throw sysError("list", subject);
    if (entry == nullptr) break;
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() == limit)
      throw Error(str("cannot list ", subject, ": it has more than ", limit, " entries"));
    names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace cove
