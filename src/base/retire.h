// For a process of ours that has opened and started all that it ever will, and from now on reads what an
// attacker sends: it keeps its descriptors and one directory, and gives up the rest.
#pragma once
#include "base/fd.h"

namespace cove {

inline constexpr const char* kRetiredDir = "/kept";  // where `dir` is then

// - The only file system left is `dir`, writable, below an empty root. Every descriptor of a directory must
// be
//   one of `dir`; it is made anew there, as ".." of an old one would lead back.
// - No capabilities, except root's to kill children that have another uid.
// - No new sockets but pairs, no signals but through a pidfd that it has, and hardenSelf().
// The caller is single-threaded. Throws "cannot retire: …"; then the process is half retired and must end.
void retire(const Fd& dir);

}  // namespace cove
