// Steps that several commands take with an instance.
#pragma once
#include <string>

#include "cove/context.h"
#include "cove/instance_options.h"

namespace cove::cli {

// A name may be another instance's by now; an id never is.
struct Made {
  std::string name, id;
};
// Makes an instance. Builds its image where there is none. Interrupted, nothing is left.
Made createInstance(Context& context, const InstanceOptions& options);

// Starts it and waits until it is ready, or up when `early`. Running already is no error. What is suspended
// goes on, unless it is to be `cold`.
void startInstance(Context& context, const std::string& name, bool early, bool cold = false);

// How long a guest may take to shut down where the user does not say.
inline constexpr uint64_t kStopTimeoutMs = 60'000;
// Shuts it down, or switches it off, and waits for that. One that does not run is no error.
void stopInstance(Context& context, const std::string& name, bool force, uint64_t timeoutMs = kStopTimeoutMs);

// Deletes it, running or not, and waits for that, but no longer than `limit` and not beyond a second Ctrl-C.
// Never throws: tells the user what is left, if anything is.
void discardInstance(Context& context, const Made& instance) noexcept;

// Runs `body`; when it fails or is interrupted, discards the instance and passes the failure on.
template <typename F>
auto discardOnFailure(Context& context, const Made& instance, F body) {
  try {
    return body();
  } catch (...) {
    discardInstance(context, instance);
    throw;
  }
}

// Waits until the daemon has undone what the end of a call made it drop, so that nothing of it is left when
// cove ends. Never throws; as above, no longer than a limit and not beyond a second Ctrl-C.
void awaitUndone(Context& context) noexcept;

// Runs `body`, a call that makes an instance or an image; interrupted, waits as above.
template <typename F>
auto undoneOnInterrupt(Context& context, F body) {
  try {
    return body();
  } catch (const Interrupted&) {
    awaitUndone(context);
    throw;
  }
}

// What the daemon knows of it.
bool isInstance(Context& context, const std::string& name);
bool isRunning(Context& context, const std::string& name);
bool isSuspended(Context& context, const std::string& name);

// The user that was made in its guest for whoever made the instance.
struct User {
  std::string name;
  std::string home;
};
User guestUser(Context& context, const std::string& name);

}  // namespace cove::cli
