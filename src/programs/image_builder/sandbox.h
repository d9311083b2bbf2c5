// The sandbox of image builds: what it sees, who it is, and what runs in it.
//
// Its users are those of a namespace: 0 is the caller, the others his sub-ids (or, for root, ids that nobody
// has). It sees the host's programs read-only, one directory to write the result into, and a file system in
// memory in which the new tree is put together; nothing that it makes needs to be cleaned up. It has the
// host's network, as apt needs it: until there is a proxy that lets only the mirror through, the builder says
// so.
#pragma once
#include "base/child.h"
#include "base/fd.h"
#include "base/subids.h"
#include "image/recipe.h"

namespace cove::image {

// Where the sandbox has what; all in its own root.
inline constexpr const char* kSelf = "/cove-image";
inline constexpr const char* kTree = "/tree";      // the new system
inline constexpr const char* kKernel = "/kernel";  // the kernel's package
inline constexpr const char* kArchiveKeyring =
    "/usr/share/keyrings/debian-archive-keyring.gpg";  // and in the image
inline constexpr const char* kOut = "/out";            // the staging directory

// Starts `cove-image assemble` in it. `output` takes what it prints.
Child startSandbox(const Recipe& recipe, const IdMap& ids, Fd request, const Fd& staging, Fd progress,
                   Fd output);

}  // namespace cove::image
