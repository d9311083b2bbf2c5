// What the commands share: the event loop and the daemon, made when first asked for (most of what `cove help`
// would pay for them is start time), progress, and Ctrl-C.
#pragma once
#include <kj/async-io.h>
#include <memory>
#include <optional>
#include <string_view>

#include "cove/arguments.h"
#include "cove/command.h"
#include "cove/daemon_client.h"
#include "cove/progress.h"

namespace cove::cli {

// Options of every command.
struct Globals {
  bool quiet = false;
  bool terminal = true;  // --tty=false: as if there were none
  void declare(Arguments& arguments);
};

// The user pressed Ctrl-C, or someone sent SIGTERM or SIGHUP, while cove waited. What had begun was dropped.
struct Interrupted {
  int signal;
};

class Context {
 public:
  Context(const Command& command, const Globals& globals) : command_(command), globals_(globals) {}

  kj::AsyncIoContext& io();
  // Started where the command says so. An Error when it needs a running one and there is none.
  rpc::Daemon::Client daemon();
  // A new connection, for when the daemon that was connected may have gone.
  rpc::Daemon::Client reconnect();

  // The result, or the Error that was thrown; Interrupted on a signal, with the promise dropped.
  template <typename T>
  T wait(kj::Promise<T> promise);
  template <typename T>
  auto wait(capnp::RemotePromise<T>&& promise) {
    return wait(promise.dropPipeline());
  }

  ProgressLine& progress();
  // A Progress capability that shows what it is told. The context outlives it.
  rpc::Progress::Client progressClient();
  // A message on stderr, "cove: LINE", unless quiet. Escaped.
  void say(std::string_view line);
  // The same, quiet or not: something went wrong.
  void complain(std::string_view line);
  bool quiet() const { return globals_.quiet; }
  // Whether `fd` is a terminal, and the user did not say --tty=false.
  bool isTerminal(int fd) const;

 private:
  kj::Promise<int> signalArrived();
  const Command& command_;
  const Globals& globals_;
  std::optional<kj::AsyncIoContext> io_;
  std::unique_ptr<DaemonClient> client_;
  std::optional<ProgressLine> progress_;
};

template <typename T>
T Context::wait(kj::Promise<T> promise) {
  kj::AsyncIoContext& loop = io();
  int signal = 0;
  auto interrupted = signalArrived();
  if constexpr (std::is_void_v<T>) {
    promise.exclusiveJoin(interrupted.then([&signal](int number) { signal = number; })).wait(loop.waitScope);
    if (signal != 0) throw Interrupted{signal};
  } else {
    auto result = promise.then([](T&& value) -> kj::Maybe<T> { return kj::mv(value); })
                      .exclusiveJoin(interrupted.then([&signal](int number) -> kj::Maybe<T> {
                        signal = number;
                        return nullptr;
                      }))
                      .wait(loop.waitScope);
    KJ_IF_MAYBE (value, result) return kj::mv(*value);
    throw Interrupted{signal};
  }
}

}  // namespace cove::cli
