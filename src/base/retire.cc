#include "base/retire.h"

#include <dirent.h>
#include <linux/capability.h>
#include <memory>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <vector>

#include "base/contain.h"
#include "base/contain_root.h"
#include "base/error.h"
#include "base/privileges.h"
#include "base/text.h"

namespace cove {

namespace {
constexpr uint64_t kRootBytes = 1 << 16;

bool same(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

std::string pathOf(const Fd& dir) {
  char path[4096];
  ssize_t n =
      check(::readlink(str("/proc/self/fd/", dir.get()).c_str(), path, sizeof path), "find", "the directory");
  return {path, static_cast<size_t>(n)};
}

// Numbers of the descriptors that are directories, all of them `dir`.
std::vector<int> descriptorsOf(const Fd& dir) {
  struct stat kept = statOf(dir);
  std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir("/proc/self/fd"), ::closedir);
  if (!open) throw sysError("list", "the open descriptors");
  std::vector<int> numbers;
  while (dirent* entry = ::readdir(open.get())) {
    int number = std::atoi(entry->d_name);  // "." and "..": 0, which is none
    struct stat st {};
    if (entry->d_name[0] == '.' || number == ::dirfd(open.get())) continue;
    if (::fstat(number, &st) != 0 || !S_ISDIR(st.st_mode)) continue;
    if (!same(st, kept)) throw Error(str("descriptor ", number, " is another directory"));
    numbers.push_back(number);
  }
  return numbers;
}

// root needs no user namespace for it, in which it could not kill what runs outside.
void leaveNamespaces() {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
  check(::unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS), "leave", "the host's namespaces");
  if (uid != 0) writeIdMaps(::getpid(), uid, uid, gid, gid, 1);
}

void keepOnly(const Fd& dir) {
  std::vector<int> numbers = descriptorsOf(dir);
  struct stat before = statOf(dir);
  Containment containment;
  containment.binds = {{pathOf(dir), kRetiredDir, true}};
  containment.rootBytes = kRootBytes;
  ContainedRoot root(containment);
  root.enter();
  Fd kept = openFile(kRetiredDir, O_RDONLY | O_DIRECTORY);
  if (!same(statOf(kept), before)) throw Error("the directory was moved meanwhile");
  for (int number : numbers) check(::dup3(kept.get(), number, O_CLOEXEC), "keep", "the directory");
}
}  // namespace

void retire(const Fd& dir) {
  try {
    bool root = ::geteuid() == 0;
    leaveNamespaces();
    keepOnly(dir);
    dropCapabilities(root ? uint64_t{1} << CAP_KILL : 0);
    hardenSelf(Reach::kOwnOnly);
  } catch (const Error& e) {
    throw Error(str("cannot retire: ", e.message()));
  }
}

}  // namespace cove
