// Whole trees: readTree() and writeTree() of a Target.
#pragma once
#include <kj/async-unix.h>

#include "target/calls.h"

namespace cove {

// Sends `path` (a symlink there is followed, none below it), sorted, parents first. Of sockets,
// devices and FIFOs only their names are sent, as left out.
kj::Promise<void> readTree(kj::UnixEventPort& port, ReadTreeCall context);
// The sender is not trusted: see TreeSink.
void writeTree(WriteTreeCall context);

}  // namespace cove
