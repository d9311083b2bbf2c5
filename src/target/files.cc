#include "target/files.h"

#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "rpc/limits.h"
#include "rpc/stream.h"
#include "target/attributes.h"
#include "target/directory.h"
#include "target/new_file.h"
#include "target/paths.h"

namespace cove {

namespace {
const Fd kNowhere{AT_FDCWD};  // for absolute paths; closing it is refused

struct stat statAt(const Fd& directory, const std::string& name, bool follow) {
  struct stat st {};
  check(::fstatat(directory.get(), name.c_str(), &st, follow ? 0 : AT_SYMLINK_NOFOLLOW), "examine", name);
  return st;
}

void removeTree(const Fd& directory, const std::string& name, size_t depth) {
  if (::unlinkat(directory.get(), name.c_str(), 0) == 0 || errno == ENOENT) return;
  if (errno != EISDIR) throw sysError("remove", name);
  if (depth == kTreeDepth) throw Error("cannot remove " + name + ": its tree is too deep");
  {
    Fd inner = openAt(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    for (const std::string& each : entriesOf(inner, SIZE_MAX, name)) removeTree(inner, each, depth + 1);
  }
  if (::unlinkat(directory.get(), name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT)
    throw sysError("remove", name);
}
}  // namespace

void statFile(StatCall context) {
  auto params = context.getParams();
  std::string path = resolvePath(params.getPath());
  describe(kNowhere, path, statAt(kNowhere, path, params.getFollow()), context.getResults().initInfo());
}

void listDirectory(ListCall context) {
  std::string path = resolvePath(context.getParams().getPath());
  Fd directory = openFile(path, O_RDONLY | O_DIRECTORY);
  auto names = entriesOf(directory, kDirectoryEntries, path);
  auto entries = context.getResults().initEntries(static_cast<unsigned>(names.size()));
  size_t bytes = 0;
  for (unsigned i = 0; i < names.size(); ++i) {
    struct stat st {};
    // Gone since: an entry of kind "other" without attributes.
    if (::fstatat(directory.get(), names[i].c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
      throw sysError("examine", names[i]);
    if (S_ISLNK(st.st_mode)) bytes += static_cast<size_t>(st.st_size);
    bytes += names[i].size() + 64;
    if (bytes > kMessageWords * sizeof(capnp::word) / 2)
      throw Error("cannot list " + path + ": its names are too long");
    describe(directory, names[i], st, entries[i]);
  }
}

kj::Promise<void> readFileInto(kj::UnixEventPort& port, ReadCall context) {
  std::string path = resolvePath(context.getParams().getPath());
  Fd file = openFile(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!S_ISREG(statOf(file, path).st_mode)) throw Error("cannot read " + path + ": it is no regular file");
  context.allowCancellation();
  return sendAll(port, std::move(file), context.getParams().getSink());
}

void writeFileFrom(WriteCall context) {
  auto params = context.getParams();
  std::string path = resolvePath(params.getPath());
  WantedAttributes attributes(params.getAttributes(), params.getSetOwner());
  context.getResults().setContent(makeFileSink(kj::heap<NewFile>(placeOf(path), path, attributes, true)));
}

void removeFile(RemoveCall context) {
  auto params = context.getParams();
  Place place = placeOf(resolvePath(params.getPath()));
  struct stat st = statAt(place.directory, place.name, false);
  if (params.getRecursive()) return removeTree(place.directory, place.name, 0);
  check(::unlinkat(place.directory.get(), place.name.c_str(), S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0),
        "remove", place.name);
}

}  // namespace cove
