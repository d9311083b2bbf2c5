#include <unistd.h>

#include "cove/commands/all.h"
#include "cove/pump.h"
#include "cove/session.h"
#include "rpc/co.h"
#include "rpc/stream.h"

namespace cove::cli {

namespace {

constexpr const char* kSshServer = "tcp:127.0.0.1:22";

// The ProxyCommand of an instance's ssh.config: connects stdin and stdout to the guest's ssh server through
// the supervisor, so that no port is open on the host.
class SshProxy final : public Action {
 public:
  void declare(Arguments& arguments) override { arguments.instance(name_); }

  int run(Context& context) override {
    auto session = Session::connect(context, name_);
    auto target = session->target(false);
    auto& port = context.io().unixEventPort;
    WriteThrough output(STDOUT_FILENO);
    auto receiver = kj::refcounted<StreamReceiver>(port, output.takeInput());
    auto request = target.connectRequest();
    request.setAddress(kSshServer);
    request.setToClient(receiver->makeSink());
    auto response = context.wait(request.send());
    // ssh ends by closing our stdin, the guest by closing its side: the latter is what ends both.
    auto sending =
        sendAll(port, readThrough(STDIN_FILENO), response.getToTarget()).eagerlyEvaluate([](kj::Exception&&) {
        });
    context.wait(whenReadable(port, output.finished().get()).exclusiveJoin(session->onDisconnect()));
    receiver->close();
    output.drain();
    return 0;
  }

 private:
  std::string name_;
};

}  // namespace

constinit const Command kSshProxy = {
    .name = "ssh-proxy",
    .summary = "Connect stdin and stdout to an instance's ssh server",
    .help = "",
    .needs = Needs::kDaemon,
    .make = makeAction<SshProxy>,
    .hidden = true,
};

}  // namespace cove::cli
