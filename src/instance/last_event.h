// What a supervisor wrote last about its machine, for a daemon that did not watch it end.
#pragma once
#include "base/fd.h"
#include "instance/supervisor_link.h"

namespace cove {

// STOPPED, or FAILED with a reason; FAILED too where the log says nothing of an end.
VmState lastEvent(const Fd& instanceDir);

}  // namespace cove
