#include "machine/vm_server.h"

#include <cerrno>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "rpc/descriptor.h"

namespace cove {

namespace {
constexpr const char* kSocketName = "vm.sock";

co::Co<void> answerStatus(StatusBoard& board, uint64_t after,
                          std::function<void(const MachineStatus&)> fill) {
  // 0 asks for what is known now.
  if (after > 0) co_await board.changedSince(after);
  fill(board.now());
}

class SessionServer final : public rpc::Session::Server {
 public:
  explicit SessionServer(Supervisor& supervisor) : supervisor_(supervisor) {}

  kj::Promise<void> target(TargetContext context) override {
    return supervisor_.target(context.getParams().getEarly()).then([context](rpc::Target::Client t) mutable {
      context.getResults().setTarget(kj::mv(t));
    });
  }
  kj::Promise<void> console(ConsoleContext context) override {
    context.getResults().setInput(supervisor_.attachConsole(context.getParams().getOutput()));
    return kj::READY_NOW;
  }
  kj::Promise<void> status(StatusContext context) override {
    context.allowCancellation();
    return answerStatus(
        supervisor_.status(), context.getParams().getAfter(),
        [context](const MachineStatus& s) mutable { s.write(context.getResults().initStatus()); });
  }

 private:
  Supervisor& supervisor_;
};

class SupervisorServer final : public rpc::Supervisor::Server {
 public:
  SupervisorServer(Supervisor& supervisor, VmServer& server) : supervisor_(supervisor), server_(server) {}

  kj::Promise<void> status(StatusContext context) override {
    context.allowCancellation();
    return answerStatus(
        supervisor_.status(), context.getParams().getAfter(),
        [context](const MachineStatus& s) mutable { s.write(context.getResults().initStatus()); });
  }
  kj::Promise<void> introduce(IntroduceContext context) override {
    Fd socket = server_.introduce(context.getParams().getLease());
    context.getResults().setSocket(handOver(std::move(socket)));
    return kj::READY_NOW;
  }
  // Not cancelled with its caller: a coved that dies while it stops a machine has stopped it.
  kj::Promise<void> stop(StopContext context) override {
    auto params = context.getParams();
    return supervisor_.stop(params.getForce(), params.getTimeoutMs() * kj::MILLISECONDS);
  }
  kj::Promise<void> suspend(SuspendContext context) override {
    return takeOver(context.getParams().getKey()).then([this](Fd key) {
      return supervisor_.suspend(unpackKey(key));
    });
  }
  kj::Promise<void> snapshot(SnapshotContext context) override {
    std::string directory = context.getParams().getDirectory();
    return takeOver(context.getParams().getKey()).then([this, directory](Fd key) {
      return supervisor_.snapshot(unpackKey(key), directory);
    });
  }
  kj::Promise<void> keep(KeepContext) override {
    supervisor_.keep();
    return kj::READY_NOW;
  }

 private:
  Supervisor& supervisor_;
  VmServer& server_;
};
}  // namespace

VmServer::VmServer(kj::LowLevelAsyncIoProvider& io, kj::UnixEventPort& port, Supervisor& supervisor,
                   const Fd& dir, const Log& log)
    : io_(io),
      port_(port),
      supervisor_(supervisor),
      log_(log),
      dir_(dir.duplicate()),
      listener_(listenUnix(dir, kSocketName)) {
  setNonblocking(listener_);
}

VmServer::~VmServer() noexcept(false) { ::unlinkat(dir_.get(), kSocketName, 0); }

kj::Promise<void> VmServer::run() { return acceptAll(); }

co::Co<void> VmServer::acceptAll() {
  for (;;) {
    co_await whenReadable(port_, listener_.get());
    int number = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (number < 0) {
      if (errno == EMFILE || errno == ENFILE) co_await port_.getTimer().afterDelay(100 * kj::MILLISECONDS);
      continue;  // the client left again
    }
    Fd socket(number);
    if (Peer peer = peerOf(socket); peer.uid != ::geteuid()) {
      log_.warning("refused a connection of uid " + std::to_string(peer.uid));
      continue;
    }
    serve(std::move(socket), kj::heap<SupervisorServer>(supervisor_, *this), [] {});
  }
}

Fd VmServer::introduce(bool lease) {
  auto [ours, theirs] = makeSocketPair(SOCK_STREAM);
  std::function<void()> atEnd = [] {};
  if (lease) {
    supervisor_.leaseTaken();
    atEnd = [this] { supervisor_.leaseLost(); };
  }
  serve(std::move(ours), kj::heap<SessionServer>(supervisor_), std::move(atEnd));
  return std::move(theirs);
}

void VmServer::serve(Fd socket, capnp::Capability::Client service, std::function<void()> atEnd) {
  auto connection = kj::heap<Connection>(io_, std::move(socket), Side::kServer, kj::mv(service));
  auto gone = connection->onDisconnect();
  tasks_.add(gone.catch_([](kj::Exception&&) {}).attach(kj::mv(connection)).then(std::move(atEnd)));
}

void VmServer::taskFailed(kj::Exception&& exception) { log_.warning(fromKj(exception).message()); }

}  // namespace cove
