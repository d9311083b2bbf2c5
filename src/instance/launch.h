// Starts the supervisor of an instance without making the daemon wait or be its parent.
#pragma once
#include <kj/async-unix.h>

#include "base/child.h"
#include "image/store.h"
#include "instance/records.h"
#include "rpc/co.h"

namespace cove {

// Resolves with the supervisor's identity when it listens on vm.sock.
co::Co<ProcessId> launchInChild(kj::UnixEventPort& port, InstanceRecord record, image::Image image,
                                Fd instanceDir, Fd imageDir);

}  // namespace cove
