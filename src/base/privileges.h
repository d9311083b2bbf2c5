// What a process gives up for ever.
#pragma once
#include <cstdint>
#include <string>
#include <sys/types.h>

namespace cove {

void forbidNewPrivileges();
// No core file, and no debugger of the same user: what passes through the memory of this process is not kept.
// Executing a program undoes the second.
void keepOutOfCores();
// All sets, the bounding set and the ways back (securebits) included; but those of the mask `keep`.
void dropCapabilities(uint64_t keep = 0);
// Supplementary groups (where this user namespace lets us), gid, uid; capabilities stay until dropped.
void becomeUser(uid_t uid, gid_t gid);

struct LandlockRules {
  bool writableRoot = false;  // may change whatever the mounts let it
  bool network = false;       // may use TCP
};
// Landlock's version on this kernel, 0 where it has none.
int landlockVersion();
// No-op where the kernel has no Landlock.
void restrictByLandlock(const LandlockRules& rules);

}  // namespace cove
