// Standard descriptors that belong to others too: read and written by threads, as blocking as they are.
//
// The threads are never joined: one may sit in a write to a reader that never reads. What they touch is
// shared with them, so whoever gives up just drops his object.
#pragma once
#include <kj/async-unix.h>
#include <memory>

#include "rpc/target.capnp.h"

namespace cove {

// Sends a descriptor to a sink, beginning with offset `begin`. Resolves at its end, or when the sink wants no
// more. Nothing is read beyond the sink's window. Reading stops when the promise is dropped.
kj::Promise<void> sendStandardInput(kj::UnixEventPort& port, int fd, rpc::ByteSink::Client sink,
                                    uint64_t begin = 0);

// A sink that writes to a descriptor.
struct StandardOutput {
  rpc::ByteSink::Client sink;
  kj::Promise<int> ended;  // 0: end() came and everything is written; else the errno that stopped it
};
// Where a stream goes on that somebody else has read up to some place, only its sender knows that place.
enum class StreamStart { kBeginning, kWhereItIs };
StandardOutput makeStandardOutput(kj::UnixEventPort& port, int fd,
                                  StreamStart start = StreamStart::kBeginning);

}  // namespace cove
