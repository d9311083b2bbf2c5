// System call filters. A denylist, because the programs behind it are not ours: what stays allowed acts only
// on what the namespaces and the root leave visible; what is denied here would widen that, or is kernel
// surface that no contained program needs.
#pragma once
#include <span>

#include "base/fd.h"

namespace cove {

struct FilterRules {
  bool allowMounts = false;  // mount, pivot_root, chroot, setns, unshare, namespaces by clone
  enum class Exec { kAllow, kDeny, kAsk } exec = Exec::kDeny;
  bool unixSockets = true;  // socket() of AF_UNIX; pairs are always allowed
  bool changeModes = true;  // chmod, chown and the like, also of what only a descriptor leads to
  bool ownOnly = false;     // no socket, connect, bind; no signals to other processes, except by pidfd
};

// Installs the filter for this thread and all that it starts; no_new_privs must be set. With Exec::kAsk the
// result is the listener that execve and execveat wait for, otherwise empty.
Fd installFilter(const FilterRules& rules);

// For code of ours that needs little: nothing but `calls` and sockets of `families` stays allowed, the rest
// fails with EPERM. On top of any filter that is installed already; no_new_privs must be set.
void installAllowlist(std::span<const int> calls, std::span<const int> families);

// Lets the one execve go through for which a process waits at `listener`; the caller closes the listener
// then, after which execve fails with ENOSYS for ever. Blocks until the process asks.
void allowOneExec(const Fd& listener);

}  // namespace cove
