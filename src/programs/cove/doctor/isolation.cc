#include <cerrno>
#include <cstring>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "base/subids.h"
#include "base/text.h"
#include "cove/doctor/check.h"

namespace cove::cli {

namespace {

// A sysctl that forbids what the check before found to be forbidden.
struct Cause {
  const char* path;
  const char* forbids;  // its value then
  const char* command;
};
constexpr Cause kCauses[] = {
    {"/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"},
    {"/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"},
    // Ubuntu 23.10 and later: namespaces can be made, but have no rights in them.
    {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
     "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
};

// Tried, not concluded: makes namespaces in a child and uses a right inside of them.
Check namespaces() {
  Child child = Child::fork([] {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET) != 0) return errno;
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno;
    return 0;
  });
  Ended ended = child.wait();
  if (ended.ok()) return {"user namespaces", Health::kGood, "can be made and used"};
  Check check = {"user namespaces", Health::kBroken, str("refused: ", strerror(ended.status))};
  for (const Cause& cause : kCauses) {
    if (firstLine(cause.path) != cause.forbids) continue;
    check.found = str("refused: ", cause.path, " is ", cause.forbids);
    check.fix = asRoot(cause.command);
    return check;
  }
  check.fix = "inside a container: allow it to make user namespaces, or run cove on the host itself";
  return check;
}

Check subIds() {
  try {
    IdMap map = subIdMap();
    if (map.direct) return {"sub-ids", Health::kGood, str("root uses ", map.uid, " and above")};
    return {"sub-ids", Health::kGood, str(map.uids[0].count, " from ", map.uids[0].first)};
  } catch (const Error& error) {
    return {"sub-ids", Health::kBroken, error.message(), error.hint()};
  }
}

Check uidmapTools() {
  if (geteuid() == 0) return {"newuidmap", Health::kGood, "root needs none"};
  for (const char* path : {"/usr/bin/newuidmap", "/usr/bin/newgidmap"}) {
    if (access(path, X_OK) != 0) {
      return {"newuidmap", Health::kBroken, str(path, " is missing"), installCommand("uidmap")};
    }
  }
  return {"newuidmap", Health::kGood, "/usr/bin/newuidmap"};
}

Check seccomp() {
  uint32_t action = SECCOMP_RET_USER_NOTIF;
  if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) {
    return {"seccomp", Health::kGood, "with user notification"};
  }
  return {"seccomp", Health::kBroken, str("not available: ", strerror(errno)),
          "use a kernel with CONFIG_SECCOMP_FILTER, 5.0 or newer"};
}

Check landlock() {
  long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version > 0) return {"Landlock", Health::kGood, str("version ", version)};
  return {"Landlock", Health::kWarning, "not enabled in this kernel; namespaces and filters do without"};
}

Check kernel() {
  struct utsname system = {};
  uname(&system);
  return {"kernel", Health::kGood, str(system.sysname, " ", system.release)};
}

}  // namespace

std::vector<Check> checkIsolation() {
  return {kernel(), namespaces(), subIds(), uidmapTools(), seccomp(), landlock()};
}

}  // namespace cove::cli
