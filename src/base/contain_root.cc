#include "base/contain_root.h"

#include <cerrno>
#include <climits>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {
// Anything that exists on every system and that no bind needs afterwards: sources are open by then.
constexpr const char* kScaffold = "/tmp";

std::string relative(const std::string& path) {
  if (path.size() < 2 || path[0] != '/') throw Error("cannot use the path " + path + " in a contained root");
  return path.substr(1);
}

// The directory that holds the last component of `path`, made where it is missing.
Fd makeParents(const Fd& root, const std::string& path) {
  Fd dir = root.duplicate();
  for (size_t at = 0, slash; (slash = path.find('/', at)) != std::string::npos; at = slash + 1) {
    std::string part = path.substr(at, slash - at);
    if (::mkdirat(dir.get(), part.c_str(), 0755) < 0 && errno != EEXIST) throw sysError("make", path);
    // A bind may lie below another: mounts are crossed, symlinks are not.
    dir = openAt(dir, part, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  }
  return dir;
}

std::string lastPart(const std::string& path) { return path.substr(path.rfind('/') + 1); }

void placeFile(const Fd& root, const PlacedFile& file) {
  std::string path = relative(file.path);
  Fd parent = makeParents(root, path);
  Fd out = openAt(parent, lastPart(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0400);
  off_t offset = 0;
  off_t size = statOf(file.content, file.path).st_size;
  while (offset < size) {
    ssize_t n = ::sendfile(out.get(), file.content.get(), &offset, static_cast<size_t>(size - offset));
    check(n, "copy", file.path);
    if (n == 0) throw Error("cannot copy " + file.path + ": it became shorter");
  }
}

void mountAt(const char* type, const char* place, unsigned long flags, const std::string& options) {
  check(::mount(type, place, type, flags, options.c_str()), str("mount ", type, " on").c_str(), place);
}
}  // namespace

ContainedRoot::ContainedRoot(const Containment& containment) : containment_(containment) {
  // Nothing that happens here reaches the host, nor the other way round; pivot_root insists on it too.
  check(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make", "all mounts private");
  for (const Bind& bind : containment.binds) {
    Fd path = openFile(bind.source, O_PATH | O_NOFOLLOW);
    struct stat st = statOf(path, bind.source);
    Source& source = sources_.emplace_back(Source{&bind, Fd()});
    if (S_ISLNK(st.st_mode)) {
      char target[PATH_MAX];
      ssize_t n = check(::readlinkat(path.get(), "", target, sizeof target), "read the link", bind.source);
      source.link.assign(target, static_cast<size_t>(n));
      continue;
    }
    source.directory = S_ISDIR(st.st_mode);
    source.tree =
        Fd(static_cast<int>(::syscall(SYS_open_tree, path.get(), "",
                                      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE)),
           "clone the mount of", bind.source);
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_NOSUID;
    if (!bind.writable) attributes.attr_set |= MOUNT_ATTR_RDONLY;
    if (!bind.devices) attributes.attr_set |= MOUNT_ATTR_NODEV;
    check(::syscall(SYS_mount_setattr, source.tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                    sizeof attributes),
          "restrict the mount of", bind.source);
  }
}

void ContainedRoot::mountSource(const Fd& root, const Source& source) {
  const Bind& bind = *source.bind;
  std::string target = relative(bind.target.empty() ? bind.source : bind.target);
  Fd parent = makeParents(root, target);
  std::string name = lastPart(target);
  if (!source.tree) {
    check(::symlinkat(source.link.c_str(), parent.get(), name.c_str()), "make the link", target);
    return;
  }
  if (source.directory) {
    if (::mkdirat(parent.get(), name.c_str(), 0755) < 0 && errno != EEXIST) throw sysError("make", target);
  } else if (int fd = ::openat(parent.get(), name.c_str(), O_CREAT | O_EXCL | O_CLOEXEC, 0444); fd >= 0) {
    ::close(fd);
  } else if (errno != EEXIST) {
    throw sysError("make", target);
  }
  check(::syscall(SYS_move_mount, source.tree.get(), "", parent.get(), name.c_str(), MOVE_MOUNT_F_EMPTY_PATH),
        "mount", target);
}

void ContainedRoot::enter() {
  std::string options = str("mode=0755,size=", containment_.rootBytes, ",nr_inodes=65536");
  mountAt("tmpfs", kScaffold, MS_NOSUID | MS_NODEV, options);
  Fd root = openFile(kScaffold, O_RDONLY | O_DIRECTORY);
  for (const Source& source : sources_) mountSource(root, source);
  for (const std::string& directory : containment_.directories) makeParents(root, relative(directory) + "/");
  for (const PlacedFile& file : containment_.files) placeFile(root, file);
  if (containment_.procfs != ProcFs::kNone) {
    makeParents(root, "proc/");
    // Visible only where the host's own /proc is not masked: a user namespace may not show what was hidden.
    mountAt("proc", str(kScaffold, "/proc").c_str(), MS_NOSUID | MS_NODEV | MS_NOEXEC,
            containment_.procfs == ProcFs::kProcesses ? "subset=pid" : "");
  }
  check(::fchdir(root.get()), "enter", "the new root");
  // Both at ".": the old root ends up on top of the new one and is then taken off (pivot_root(2), NOTES).
  check(::syscall(SYS_pivot_root, ".", "."), "make", "the new root /");
  check(::umount2(".", MNT_DETACH), "remove", "the host's file systems");
  check(::chdir("/"), "enter", "/");
  if (!containment_.writableRoot)
    check(::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, nullptr),
          "make read-only", "/");
}

}  // namespace cove
