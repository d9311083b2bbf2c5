#include "cove/lifecycle.h"

#include "base/text.h"
#include "cove/session.h"
#include "rpc/error.h"

namespace cove::cli {

namespace {

// Killing a machine and removing its files takes well under a second; a host under load gets its time.
constexpr auto kDiscardLimit = 20 * kj::SECONDS;
constexpr auto kUndoneInterval = 50 * kj::MILLISECONDS;

kj::Promise<void> deleteByForce(rpc::Daemon::Client daemon, const std::string& name) {
  auto request = daemon.deleteRequest();
  request.setName(name);
  request.setForce(true);
  return request.send().ignoreResult();
}

}  // namespace

std::string createInstance(Context& context, const InstanceOptions& options) {
  auto request = context.daemon().createRequest();
  options.describe(request.initSpec(), false);
  request.setProgress(context.progressClient());
  std::string name = undoneOnInterrupt(context, options.name, [&] {
    auto response = context.wait(request.send());
    return std::string(response.getName().cStr());
  });
  context.progress().clear();
  return name;
}

void startInstance(Context& context, const std::string& name, bool early) {
  auto request = context.daemon().startRequest();
  request.setName(name);
  request.setProgress(context.progressClient());
  context.wait(request.send());
  Session::connect(context, name)->target(early);
}

void awaitUndone(Context& context, const std::string& name) noexcept {
  auto& timer = context.io().provider->getTimer();
  auto end = timer.now() + kDiscardLimit;
  try {
    while (timer.now() < end) {
      auto request = context.daemon().infoRequest();
      request.setName(name);
      context.wait(request.send());  // until there is no such instance
      context.wait(timer.afterDelay(kUndoneInterval));
    }
  } catch (...) {
    return;  // that, a second Ctrl-C, or no daemon: nothing to wait for
  }
}

void discardInstance(Context& context, const std::string& name) noexcept {
  std::string reason;
  try {
    // The daemon may have been killed while the command ran, which went on without it.
    auto deleted = deleteByForce(context.reconnect(), name);
    context.wait(context.io().provider->getTimer().timeoutAfter(kDiscardLimit, kj::mv(deleted)));
    return;
  } catch (const Interrupted&) {
    reason = "interrupted";
  } catch (...) {
    reason = currentError().message();
  }
  try {
    context.complain(cove::str("could not delete ", name, ": ", reason));
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

bool isRunning(Context& context, const std::string& name) {
  auto request = context.daemon().infoRequest();
  request.setName(name);
  auto response = context.wait(request.send());
  auto info = response.getInfo();
  if (info.getCreated()) return false;
  auto state = info.getVm().getState();
  return state != rpc::VmState::STOPPED && state != rpc::VmState::FAILED;
}

}  // namespace cove::cli
