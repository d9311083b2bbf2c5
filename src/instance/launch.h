// Starts the supervisor of an instance without making the daemon wait or be its parent.
#pragma once
#include <kj/async-unix.h>
#include <memory>

#include "base/child.h"
#include "hypervisor/machine.h"
#include "image/store.h"
#include "instance/records.h"
#include "rpc/co.h"

namespace cove {

// An Error that says how to install it where there is none.
std::string requireQemu();

struct Launched {
  ProcessId supervisor;
  std::string accelerator;
};
// Probes the acceleration where that is not known yet, and starts the supervisor; resolves when it listens on
// vm.sock. `stateDir` outlives the promise. `from`: where it begins, if not with its kernel.
co::Co<Launched> launchInstance(kj::UnixEventPort& port, const Fd& stateDir, InstanceRecord record,
                                image::Image image, Fd instanceDir, Fd imageDir,
                                std::shared_ptr<SavedMachine> from = nullptr);
// A machine like the record's that is saved in `dir`, where its "disk" is. Resolves when that is done; ends
// with its promise. It yields to everything else on the host.
co::Co<void> saveMachine(kj::UnixEventPort& port, InstanceRecord record, image::Image image, Fd dir,
                         Fd imageDir);

}  // namespace cove
