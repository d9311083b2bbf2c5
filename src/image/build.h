// Makes an image, or finds the one that is there.
#pragma once
#include <functional>
#include <kj/async-unix.h>
#include <string>
#include <vector>

#include "image/recipe.h"
#include "image/store.h"
#include "rpc/co.h"

namespace cove::image {

// Called in the event loop; `total` 0: unknown. The first call of a build says what it costs.
using ProgressCallback = std::function<void(std::string step, uint64_t done, uint64_t total)>;

struct BuildOptions {
  bool rebuild = false;                  // `image pull`: a new one even where there is one
  std::string mirror, securityMirror;    // BuildRequest
  std::vector<std::string> environment;  // BuildRequest
  std::string storePath;                 // where the store is, for messages
  std::string program;                   // the builder; empty: cove-image of this installation
};
// The user's choice of where packages come from: COVE_MIRROR, COVE_SECURITY_MIRROR and the proxies'
// variables, of an environment as environ(7) has it.
BuildOptions buildOptionsFrom(const char* const* environment);

// The image of `os`. Where another process builds the same one, waits for it and takes its image. Refuses
// before any work when something is missing. Dropping the promise ends the sandbox and removes what it made.
// `store`, `port` and `timer` outlive the promise.
co::Co<Image> build(kj::UnixEventPort& port, kj::Timer& timer, Store& store, Os os, BuildOptions options,
                    ProgressCallback progress);

}  // namespace cove::image
