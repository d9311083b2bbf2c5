#include "agent/home.h"

#include <cerrno>
#include <dirent.h>
#include <filesystem>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "agent/etc.h"
#include "base/error.h"

namespace cove::agent {

namespace {
constexpr size_t kLongestSkeletonFile = 1 << 20;

std::vector<std::string> namesIn(const Fd& dir) {
  std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(dir.duplicate().release()), ::closedir);
  if (!entries) throw sysError("list", "a directory");
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(entries.get()))
    if (std::string_view name = entry->d_name; name != "." && name != "..") names.emplace_back(name);
  return names;
}

void give(const Fd& file, const Account& owner, mode_t mode, const std::string& name) {
  check(::fchown(file.get(), owner.uid, owner.gid), "set the owner of", name);
  check(::fchmod(file.get(), mode), "set the mode of", name);
}

// Regular files, directories and symlinks; a skeleton has nothing else.
void copySkeleton(const Fd& from, const Fd& to, const Account& owner) {
  for (const std::string& name : namesIn(from)) {
    struct stat st;
    check(::fstatat(from.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW), "examine", name);
    if (S_ISDIR(st.st_mode)) {
      check(::mkdirat(to.get(), name.c_str(), 0700), "make the directory", name);
      Fd made = openBeneath(to, name, O_RDONLY | O_DIRECTORY);
      copySkeleton(openBeneath(from, name, O_RDONLY | O_DIRECTORY), made, owner);
      give(made, owner, st.st_mode & 0777, name);
    } else if (S_ISREG(st.st_mode)) {
      Fd made = openBeneath(to, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
      writeAll(made, readAll(openBeneath(from, name, O_RDONLY), kLongestSkeletonFile, name), name);
      give(made, owner, st.st_mode & 0777, name);
    } else if (S_ISLNK(st.st_mode)) {
      char target[4096];
      ssize_t size = check(::readlinkat(from.get(), name.c_str(), target, sizeof target - 1), "read", name);
      target[size] = 0;
      check(::symlinkat(target, to.get(), name.c_str()), "make the symlink", name);
      check(::fchownat(to.get(), name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW), "set the owner of",
            name);
    }
  }
}

// True when there is nothing left to do.
bool isThere(const Fd& parent, const Account& account) {
  struct stat st;
  if (::fstatat(parent.get(), account.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno == ENOENT) return false;
    throw sysError("examine", account.home);
  }
  if (S_ISDIR(st.st_mode) && st.st_uid == account.uid) return true;
  throw Error("cannot make the home of " + account.name + ": " + account.home +
              " is there, and is no directory of uid " + std::to_string(account.uid));
}
}  // namespace

void makeHome(const Account& account) {
  const std::string& name = account.name;
  Fd parent = makeDirectory("home");
  if (isThere(parent, account)) return;

  // Root's own until it is complete, so that its user cannot get between the steps.
  std::string temporary = "." + name + ".cove";
  std::error_code ignored;
  std::filesystem::remove_all("/proc/self/fd/" + std::to_string(parent.get()) + "/" + temporary, ignored);
  check(::mkdirat(parent.get(), temporary.c_str(), 0700), "make the directory", account.home);
  Fd home = openBeneath(parent, temporary, O_RDONLY | O_DIRECTORY);
  if (std::optional<Fd> skeleton = findDirectory("etc/skel")) copySkeleton(*skeleton, home, account);
  check(::fchmod(home.get(), 0700), "set the mode of", account.home);
  check(::fchown(home.get(), account.uid, account.gid), "set the owner of", account.home);
  check(::renameat(parent.get(), temporary.c_str(), parent.get(), name.c_str()), "put in place",
        account.home);
}

}  // namespace cove::agent
