// round-trips INSTANCE COUNT: `true` as root in a running instance, COUNT times over one connection; prints
// how many nanoseconds each took, from the call to its exit status.
//
// What a command costs a program that stays connected: the whole `cove shell` adds its own start, the
// daemon's introduction and the connection to it.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <kj/async-io.h>

#include "base/error.h"
#include "cove/daemon_client.h"
#include "rpc/co.h"
#include "rpc/connection.h"
#include "rpc/error.h"
#include "rpc/vm.capnp.h"

namespace cove {
namespace {

long long nowNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// `true` prints nothing.
class NoSink final : public rpc::ByteSink::Server {
  kj::Promise<void> write(WriteContext) override { return kj::READY_NOW; }
  kj::Promise<void> end(EndContext) override { return kj::READY_NOW; }
};

co::Co<void> runTrue(rpc::Target::Client target) {
  auto request = target.execRequest();
  auto command = request.initCommand();
  command.initArgv(1).set(0, "true");
  command.setUser("root");
  command.setNoStdin(true);
  command.setPipes();
  request.setStdout(kj::heap<NoSink>());
  request.setStderr(kj::heap<NoSink>());
  auto exec = request.send();
  auto process = exec.getProcess();
  auto ended = co_await process.waitRequest().send();
  auto status = ended.getStatus();
  if (!status.isCode() || status.getCode() != 0) throw Error("`true` failed in the instance");
}

co::Co<void> measure(kj::AsyncIoContext& io, const char* instance, int count) {
  auto daemon = co_await DaemonClient::connect(io, Autostart::kNo, DaemonClient::printNotice);
  if (!daemon) throw Error("there is no daemon");
  auto request = daemon->daemon().connectRequest();
  request.setName(instance);
  auto introduced = co_await request.send();
  auto socket = introduced.getSocket();
  auto carried = co_await socket.getFd();
  int number = -1;
  KJ_IF_MAYBE (found, carried) number = *found;
  Fd own(::fcntl(number, F_DUPFD_CLOEXEC, 3), "duplicate", "the instance's socket");
  Connection connection(*io.lowLevelProvider, std::move(own), Side::kClient);
  auto targetRequest = connection.bootstrap<rpc::Session>().targetRequest();
  auto response = co_await targetRequest.send();
  rpc::Target::Client target = response.getTarget();
  for (; count > 0; --count) {
    long long start = nowNs();
    co_await runTrue(target);
    std::printf("%lld\n", nowNs() - start);
  }
}

}  // namespace
}  // namespace cove

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    auto io = kj::setupAsyncIo();
    kj::Promise<void>(cove::measure(io, argv[1], std::atoi(argv[2]))).wait(io.waitScope);
    return 0;
  } catch (...) {
    std::fprintf(stderr, "round-trips: %s\n", cove::currentError().message().c_str());
    return 1;
  }
}
