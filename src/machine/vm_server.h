// Serves a Supervisor: on vm.sock to its own user (coved), and Sessions to whom that user introduced.
#pragma once
#include "machine/supervisor.h"

namespace cove {

class VmServer final : kj::TaskSet::ErrorHandler {
 public:
  // Listens on vm.sock in `dir`; from now on clients can connect.
  VmServer(kj::LowLevelAsyncIoProvider& io, kj::UnixEventPort& port, Supervisor& supervisor, const Fd& dir,
           const Log& log);
  ~VmServer() noexcept(false);

  // Serves until dropped.
  kj::Promise<void> run();
  // Everybody has gone.
  kj::Promise<void> whenIdle() { return tasks_.onEmpty(); }
  // A new connection that serves a Session; `lease`: its end is the end of an ephemeral machine.
  Fd introduce(bool lease);

 private:
  co::Co<void> acceptAll();
  void serve(Fd socket, capnp::Capability::Client service, std::function<void()> atEnd);
  void taskFailed(kj::Exception&& exception) override;

  kj::LowLevelAsyncIoProvider& io_;
  kj::UnixEventPort& port_;
  Supervisor& supervisor_;
  const Log& log_;
  Fd dir_, listener_;
  kj::TaskSet tasks_{*this};
};

}  // namespace cove
