// round-trips INSTANCE COUNT: `true` as root in a running instance, COUNT times over one connection; prints
// how many nanoseconds each took, from the call to its exit status.
//
// What a command costs a program that stays connected: the whole `cove shell` adds its own start, the
// daemon's introduction and the connection to it.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <kj/async-io.h>

#include "base/error.h"
#include "cove/daemon_client.h"
#include "rpc/co.h"
#include "rpc/connection.h"
#include "rpc/descriptor.h"
#include "rpc/vm.capnp.h"
#include "rpc/warm_up.h"

namespace cove {
namespace {

long long nowNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

co::Co<void> measure(kj::AsyncIoContext& io, const char* instance, int count) {
  auto daemon = co_await DaemonClient::connect(io, Autostart::kNo, DaemonClient::printNotice);
  if (!daemon) throw Error("there is no daemon");
  auto request = daemon->daemon().connectRequest();
  request.setName(instance);
  auto introduced = co_await request.send();
  Fd own = co_await takeOver(introduced.getSocket());
  Connection connection(*io.lowLevelProvider, std::move(own), Side::kClient);
  auto targetRequest = connection.bootstrap<rpc::Session>().targetRequest();
  auto response = co_await targetRequest.send();
  rpc::Target::Client target = response.getTarget();
  for (; count > 0; --count) {
    long long start = nowNs();
    if (!co_await runTrue(target)) throw Error("`true` failed in the instance");
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
