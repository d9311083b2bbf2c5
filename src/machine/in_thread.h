#pragma once
#include <functional>
#include <kj/async.h>

namespace cove {

// For what keeps a processor and the disk busy for a while. Dropping the promise waits for it. Nothing may be
// forked meanwhile.
kj::Promise<void> inThread(std::function<void()> body);

}  // namespace cove
