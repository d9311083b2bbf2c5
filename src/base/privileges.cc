#include "base/privileges.h"

#include <cerrno>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

namespace cove {

namespace {
// linux/landlock.h of newer kernels.
constexpr uint64_t kFsRefer = 1ULL << 13, kFsTruncate = 1ULL << 14, kFsIoctlDevice = 1ULL << 15;
constexpr uint64_t kFsFirst = (1ULL << 13) - 1;  // all of version 1
constexpr uint64_t kNetBindTcp = 1ULL << 0, kNetConnectTcp = 1ULL << 1;
constexpr uint64_t kScopeAbstractUnix = 1ULL << 0, kScopeSignal = 1ULL << 1;
struct RulesetAttributes {
  uint64_t handledFs, handledNet, scoped;
};
}  // namespace

void forbidNewPrivileges() { check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set", "no_new_privs"); }

void keepOutOfCores() {
  rlimit none{0, 0};
  check(::setrlimit(RLIMIT_CORE, &none), "forbid", "core files");
  check(::prctl(PR_SET_DUMPABLE, 0), "hide from", "debuggers");
}

void dropCapabilities(uint64_t keep) {
  check(::prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                       SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                       SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED),
        "lock", "the securebits");
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if ((keep >> capability & 1) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // past the last one that this kernel knows
    throw sysError("drop", "the capability bounding set");
  }
  check(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "clear", "the ambient capabilities");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct left[2] = {};
  for (size_t i = 0; i < 2; ++i)
    left[i].effective = left[i].permitted = static_cast<uint32_t>(keep >> 32 * i);
  check(::syscall(SYS_capset, &header, left), "drop", "the capabilities");
}

void becomeUser(uid_t uid, gid_t gid) {
  // EPERM: a map of one's own id alone comes with setgroups denied; then the groups stay, unmapped.
  if (::setgroups(0, nullptr) < 0 && errno != EPERM) throw sysError("drop", "the supplementary groups");
  check(::setresgid(gid, gid, gid), "change to", "the new group");
  // Leaving uid 0 would clear the capabilities, with which there is more to do.
  int bits = check(::prctl(PR_GET_SECUREBITS), "read", "the securebits");
  check(::prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP), "keep", "the capabilities");
  check(::setresuid(uid, uid, uid), "change to", "the new user");
  check(::prctl(PR_SET_SECUREBITS, bits), "restore", "the securebits");
}

int landlockVersion() {
  long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version < 0 ? 0 : static_cast<int>(version);
}

void restrictByLandlock(const LandlockRules& rules) {
  int version = landlockVersion();
  if (version == 0) return;
  RulesetAttributes attributes{};
  attributes.handledFs = kFsFirst;
  if (version >= 2) attributes.handledFs |= kFsRefer;
  if (version >= 3) attributes.handledFs |= kFsTruncate;
  if (version >= 5) attributes.handledFs |= kFsIoctlDevice;
  if (version >= 4 && !rules.network) attributes.handledNet = kNetBindTcp | kNetConnectTcp;
  if (version >= 6) attributes.scoped = kScopeAbstractUnix | kScopeSignal;
  size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  Fd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0)), "make",
             "the Landlock rules");
  Fd root = openFile("/", O_PATH | O_DIRECTORY);
  landlock_path_beneath_attr rule{};
  rule.parent_fd = root.get();
  rule.allowed_access =
      LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE;
  if (rules.writableRoot) rule.allowed_access = attributes.handledFs;
  check(::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0), "add to",
        "the Landlock rules");
  check(::syscall(SYS_landlock_restrict_self, ruleset.get(), 0), "enforce", "the Landlock rules");
}

}  // namespace cove
