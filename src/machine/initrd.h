// The initial RAM file system: the image's kernel modules and our agent, made anew at every start, so that a
// new agent needs no new image.
#pragma once
#include "base/fd.h"

namespace cove {

// `modules`: an uncompressed newc archive (modules.cpio of an image). The result adds /init, the agent, mode
// 0755; it is a sealed memory file.
Fd composeInitrd(const Fd& modules, const Fd& agent);

}  // namespace cove
