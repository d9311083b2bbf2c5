// Containment: a child process in namespaces of its own, in a root that holds nothing but what is listed,
// without capabilities, that executes one program or none.
//
// Every step that fails is an Error that names the step; nothing is skipped in silence. What a kernel may
// lack (Landlock) is probed and said by describeLandlock(). Linux 5.12 or newer.
#pragma once
#include <functional>
#include <string>
#include <sys/resource.h>
#include <vector>

#include "base/child.h"

namespace cove {

// Who the contained process is. `map` runs in the parent and writes the child's id maps (its user namespace
// is made, /proc/PID is ours); `uid` and `gid` are what the child becomes, as seen inside.
struct Identity {
  std::function<void(pid_t)> map;
  uid_t uid = 0;
  gid_t gid = 0;
};
// A plain user: himself, and nobody else. root: one uid that no account has and no other supervisor uses; so
// is its gid, unless it is to have that of a device (`rootGroup` other than 0).
Identity ownIdentity(gid_t rootGroup = 0);
// Writes /proc/PID/{setgroups,uid_map,gid_map}: `inside` becomes `outside`, `count` ids. `count` 1 and
// `outside` the caller's own needs no privilege.
void writeIdMaps(pid_t pid, uint32_t insideUid, uint32_t outsideUid, uint32_t insideGid, uint32_t outsideGid,
                 uint32_t count);
// 0x70000000 to 0x7fffffff is used by no distribution, nor by systemd or container tools (systemd's
// UIDS-GIDS).
inline constexpr uint32_t kUnusedIds = 0x70000000;

// A file or directory of the host that stays visible, below it everything that is mounted there too. nosuid
// and nodev; a symlink is copied as one. It is opened before the identity changes.
struct Bind {
  std::string source;    // absolute
  std::string target{};  // absolute; empty: where it is on the host
  bool writable = false;
  bool devices = false;  // keeps device files usable (/dev/null, /dev/kvm)
};
// A file that exists only in the new root: a private copy of what the descriptor holds, mode 0400.
struct PlacedFile {
  std::string path;  // absolute
  Fd content;
};

// What of /proc is there, of its own pid namespace.
enum class ProcFs {
  kNone,
  kProcesses,  // without /proc/sys and the like
  kAll,
};

enum class ExecRule {
  kNone,  // execve fails
  kOnce,  // startContained() executes its program, afterwards execve fails with ENOSYS
  kFree,
};

struct Containment {
  std::string name = "program";  // in messages
  Identity identity = ownIdentity();
  bool keepNetwork = false;  // otherwise an empty network namespace, without so much as a loopback
  std::vector<Bind> binds;
  std::vector<PlacedFile> files;
  std::vector<std::string> directories;  // empty, 0755, writable only when `writableRoot`
  bool writableRoot = false;             // the tmpfs root itself; at most `rootBytes`
  uint64_t rootBytes = 64 << 20;
  ProcFs procfs = ProcFs::kNone;
  bool keepCapabilities = false;  // those of its own user namespace
  bool allowMounts = false;       // mount, setns, unshare, chroot and the like stay allowed
  bool unixSockets = true;        // with the host's network they reach its abstract sockets
  ExecRule exec = ExecRule::kOnce;
  std::vector<std::pair<int, rlim_t>> limits;  // RLIMIT_…, value
  bool dieWithParent = true;                   // SIGKILL when the thread that started it ends
};

// Runs spec.argv[0] (a path inside the new root) as process 1 of its pid namespace. Returns when the program
// was executed; throws "cannot contain NAME: STEP: REASON" otherwise. spec.prepare and spec.program are not
// supported; spec.env must be given.
Child startContained(Containment containment, Child::Spec spec);

// The same without a program: `body` runs in the contained child, its return value is the exit status. Only
// descriptors 0 to 2 and `keep` stay open. The caller is single-threaded.
Child forkContained(Containment containment, std::vector<int> keep, const std::function<int()>& body);

// What the kernel adds beyond namespaces and seccomp, for doctor: "Landlock 6", or why it is missing.
std::string describeLandlock();
// Tries a containment that does nothing; the Error that a start would fail with (with its hint), or nothing.
void probeContainment();

enum class Reach {
  kAll,
  kOwnOnly,  // no new sockets but pairs; signals only to itself and through a pidfd that it has
};
// For a process that needs no more privileges and starts nothing: no_new_privs, no core, not dumpable, the
// filter of ExecRule::kNone. Descriptors are the caller's business.
void hardenSelf(Reach reach = Reach::kAll);

}  // namespace cove
