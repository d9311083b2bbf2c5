#include "rpc/warm_up.h"

#include "rpc/stream.h"

namespace cove {

co::Co<void> runTrue(rpc::Target::Client target) {
  auto request = target.execRequest();
  auto command = request.initCommand();
  command.initArgv(1).set(0, "true");
  command.setUser("root");
  command.setNoStdin(true);
  command.setPipes();
  request.setStdout(makeNullSink());
  request.setStderr(makeNullSink());
  auto exec = request.send();
  auto process = exec.getProcess();
  co_await process.waitRequest().send();
}

}  // namespace cove
