// Copies between two Targets: what readTree() of one gives goes to the TreeSink of the other's writeTree().
#pragma once
#include <functional>
#include <kj/async.h>
#include <string>
#include <vector>

#include "rpc/target.capnp.h"

namespace cove {

struct CopyOptions {
  std::string intoDirectory;  // the name that the tree gets where `to` is an existing directory
  bool setOwner = false;      // keep numeric owners; needs root there
};
// Bytes of contents so far, and the path that is being copied, relative to the tree ("" is its root).
using CopyProgress = std::function<void(uint64_t bytes, const std::string& path)>;

// FIFOs, sockets and devices, which are not copied. Their names come from the source, which may be a guest.
struct LeftOut {
  static constexpr size_t kNamed = 5;
  uint64_t count = 0;
  std::vector<std::string> first;  // at most kNamed, relative to the tree
};

// A file, a symlink or a whole directory. Dropping the promise leaves what was copied so far.
kj::Promise<LeftOut> copyTree(rpc::Target::Client from, std::string fromPath, rpc::Target::Client to,
                              std::string toPath, CopyOptions options, CopyProgress progress = nullptr);

}  // namespace cove
