// Starts the supervisor of an instance without making the daemon wait or be its parent.
#pragma once
#include <kj/async-unix.h>

#include "base/child.h"
#include "image/store.h"
#include "instance/records.h"
#include "rpc/co.h"

namespace cove {

struct Launched {
  ProcessId supervisor;
  std::string accelerator;
};
// Probes the acceleration where that is not known yet, and starts the supervisor; resolves when it listens on
// vm.sock. `stateDir` outlives the promise.
co::Co<Launched> launchInstance(kj::UnixEventPort& port, const Fd& stateDir, InstanceRecord record,
                                image::Image image, Fd instanceDir, Fd imageDir);

}  // namespace cove
