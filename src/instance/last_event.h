// What a supervisor wrote last about its machine, for a daemon that did not watch it end.
#pragma once
#include <optional>

#include "base/fd.h"
#include "instance/supervisor_link.h"

namespace cove {

// STOPPED or SUSPENDED, or FAILED with a reason; nullopt where the log says nothing of an end.
std::optional<VmState> lastEvent(const Fd& instanceDir);

}  // namespace cove
