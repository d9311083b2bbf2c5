#include "rpc/warm_up.h"

#include "rpc/stream.h"

namespace cove {

co::Co<bool> runTrue(rpc::Target::Client target) {
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
  auto ended = co_await process.waitRequest().send();
  auto status = ended.getStatus();
  co_return status.isCode() && status.getCode() == 0;
}

}  // namespace cove
