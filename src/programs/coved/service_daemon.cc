// The daemon itself: hello, state, shutdown.
#include <unistd.h>

#include "base/version.h"
#include "coved/service.h"

namespace cove {

kj::Promise<void> DaemonService::hello(HelloContext context) {
  auto hello = context.getResults().initHello();
  hello.setProtocol(rpc::PROTOCOL);
  hello.setBuildId(parts_.buildId);
  hello.setStateDirectory(parts_.stateId);
  hello.setGeneration(1);  // there is no configuration yet that could change
  return kj::READY_NOW;
}

kj::Promise<void> DaemonService::state(StateContext context) {
  auto info = context.getResults().initInfo();
  info.setPid(::getpid());
  info.setVersion(kj::heapString(version().data(), version().size()));
  info.setBuildId(parts_.buildId);
  auto names = parts_.activity.list();
  auto operations = info.initOperations(static_cast<unsigned>(names.size()));
  for (unsigned i = 0; i < names.size(); ++i) operations.set(i, names[i]);
  parts_.describe(info);
  return kj::READY_NOW;
}

kj::Promise<void> DaemonService::shutdown(ShutdownContext) {
  // The answer goes out before the daemon's main loop sees the request to end.
  return parts_.activity.drain().then([this] { parts_.end(); });
}

}  // namespace cove
