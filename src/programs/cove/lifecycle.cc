#include "cove/lifecycle.h"

#include <optional>

#include "base/text.h"
#include "base/uuid.h"
#include "cove/session.h"
#include "rpc/error.h"
#include "rpc/state_name.h"

namespace cove::cli {

namespace {

// Killing a machine and removing its files takes well under a second; a host under load gets its time.
constexpr auto kDiscardLimit = 20 * kj::SECONDS;
constexpr auto kUndoneInterval = 50 * kj::MILLISECONDS;

bool lists(rpc::Daemon::ListResults::Reader results, const std::string& name) {
  for (auto info : results.getInstances())
    if (info.getName() == name) return true;
  return false;
}

// What a dropped call began is undone before the daemon reads the next one, but for the deletion of an
// ephemeral instance, whose name we may not know. Waiting for another's as well does no harm.
bool isUndoing(Context& context) {
  auto response = context.wait(context.daemon().listRequest().send());
  for (auto info : response.getInstances())
    if (info.getSpec().getEphemeral() && info.getOperation() == "deleting") return true;
  return false;
}

// Nothing: it was never started.
std::optional<rpc::VmState> stateOf(Context& context, const std::string& name) {
  auto request = context.daemon().infoRequest();
  request.setName(name);
  auto response = context.wait(request.send());
  if (response.getInfo().getCreated()) return std::nullopt;
  return response.getInfo().getVm().getState();
}

}  // namespace

Made createInstance(Context& context, const InstanceOptions& options) {
  Made made{options.name, newUuid()};
  auto request = context.daemon().createRequest();
  options.describe(request.initSpec(), false);
  request.setId(made.id);
  request.setProgress(context.progressClient());
  try {
    auto response = context.wait(request.send());
    context.progress().clear();
    made.name = response.getName().cStr();
    return made;
  } catch (const Interrupted&) {
    awaitUndone(context);
    discardInstance(context, made);  // if all was done, and its answer on the way
    throw;
  }
}

void startInstance(Context& context, const std::string& name, bool early, bool cold) {
  auto request = context.daemon().startRequest();
  request.setName(name);
  request.setCold(cold);
  request.setProgress(context.progressClient());
  try {
    context.wait(request.send());
    Session::connect(context, name)->target(early);
  } catch (const Interrupted&) {
    throw;
  } catch (...) {
    std::string reason = currentError().message();
    if (!isSuspended(context, name)) throw;
    throw Error(reason).hint(
        cove::str("What is in its memory is kept. Boot it without that:\n  cove start --cold ", name));
  }
}

void stopInstance(Context& context, const std::string& name, bool force, uint64_t timeoutMs) {
  context.progress().show("stopping " + name);
  auto request = context.daemon().stopRequest();
  request.setName(name);
  request.setForce(force);
  request.setTimeoutMs(timeoutMs);
  context.wait(request.send());
}

void awaitUndone(Context& context) noexcept {
  auto& timer = context.io().provider->getTimer();
  auto end = timer.now() + kDiscardLimit;
  try {
    while (isUndoing(context) && timer.now() < end) context.wait(timer.afterDelay(kUndoneInterval));
  } catch (...) {
    return;  // a second Ctrl-C, or no daemon: nothing to wait for
  }
}

void discardInstance(Context& context, const Made& instance) noexcept {
  std::string reason;
  try {
    // The daemon may have been killed while the command ran, which went on without it.
    auto request = context.reconnect().deleteRequest();
    request.setId(instance.id);
    request.setForce(true);
    auto deleted = request.send().ignoreResult();
    context.wait(context.io().provider->getTimer().timeoutAfter(kDiscardLimit, kj::mv(deleted)));
    return;
  } catch (const Interrupted&) {
    reason = "interrupted";
  } catch (...) {
    reason = currentError().message();
  }
  try {
    context.complain(cove::str("could not delete ", instance.name, ": ", reason));
  } catch (...) {
    return;  // out of memory: nothing can be said
  }
}

User guestUser(Context& context, const std::string& name) {
  auto request = context.daemon().infoRequest();
  request.setName(name);
  auto response = context.wait(request.send());
  auto user = response.getInfo().getSpec().getUser();
  if (user.getUid() == 0) return {"root", "/root"};
  return {cove::str(user.getName()), cove::str("/home/", user.getName())};
}

bool isInstance(Context& context, const std::string& name) {
  return lists(context.wait(context.daemon().listRequest().send()), name);
}

bool isRunning(Context& context, const std::string& name) {
  auto state = stateOf(context, name);
  return state && !hasEnded(*state);
}

bool isSuspended(Context& context, const std::string& name) {
  return stateOf(context, name) == rpc::VmState::SUSPENDED;
}

}  // namespace cove::cli
