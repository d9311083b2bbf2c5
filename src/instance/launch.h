// Starts the supervisor of an instance without making the daemon wait or be its parent.
#pragma once
#include <kj/async-unix.h>
#include <memory>
#include <optional>

#include "base/child.h"
#include "image/store.h"
#include "instance/records.h"
#include "machine/setup.h"
#include "rpc/co.h"

namespace cove {

// An Error that says how to install it where there is none.
std::string requireQemu();

struct Launched {
  ProcessId supervisor;
  std::string accelerator;
};
// How its machine begins: by booting, unless it says otherwise.
struct Beginning {
  bool save = false;  // boots, is saved where its disk is, and ends; yields to others
  std::shared_ptr<SavedMachine> from = nullptr;  // where one stood that was saved
  bool waits = false;                            // there, for somebody who is not there yet
  std::optional<StateKey> key = std::nullopt;    // where it was suspended itself
};
// Probes the acceleration where that is not known yet, and starts the supervisor; resolves when it listens on
// vm.sock. `stateDir` outlives the promise.
co::Co<Launched> launchInstance(kj::UnixEventPort& port, const Fd& stateDir, InstanceRecord record,
                                image::Image image, Fd instanceDir, Fd imageDir, Beginning beginning);

}  // namespace cove
