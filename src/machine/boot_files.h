// What a machine boots with: the image's kernel, and an initial RAM file system of the image's kernel modules
// and our agent, composed anew at every start, so that a new agent needs no new image. Both are memory files:
// machines that begin from one saved machine share them.
#pragma once
#include "base/fd.h"

namespace cove {

struct BootFiles {
  Fd kernel = makeMemfd("kernel"), initrd = makeMemfd("initrd");

  // `image`: its directory, with kernel and modules.cpio (an uncompressed newc archive). The initrd adds
  // /init, the agent, mode 0755. Once; a process that was forked for it may do so.
  void fill(const Fd& image, const Fd& agent) const;
  void seal() const;
};

}  // namespace cove
