// The work inside the sandbox: from packages to the files of an image.
#pragma once
#include "base/fd.h"
#include "image/request.h"

namespace cove::image {

// Leaves root.img, kernel, modules.cpio and assembled.json in kOut. Process 1 of the sandbox runs it.
void assemble(const BuildRequest& request, const Fd& progress);

}  // namespace cove::image
