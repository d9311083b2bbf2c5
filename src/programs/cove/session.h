// The connection to the supervisor of one instance, as coved introduced it: from here on nothing passes
// through the daemon.
#pragma once
#include <memory>
#include <string>

#include "cove/context.h"
#include "rpc/connection.h"
#include "rpc/error.h"
#include "rpc/vm.capnp.h"

namespace cove::cli {

class Session {
 public:
  // Takes the descriptor that the capability carries. `name`: the instance's, for who waits for it.
  Session(Context& context, std::string name, rpc::Socket::Client socket);
  // To an instance that runs; where it does not, the error says how to start it.
  static std::unique_ptr<Session> connect(Context& context, const std::string& name);

  // Waits until the machine is ready, or up when `early`, and shows what it is at meanwhile.
  rpc::Target::Client target(bool early);
  rpc::Session::Client client() const { return session_; }
  kj::Promise<void> onDisconnect() { return connection_->onDisconnect(); }

 private:
  Context& context_;
  std::string name_;
  kj::Own<Connection> connection_;
  mutable rpc::Session::Client session_;
};

// What a guest answered in place of a result. Its advice is shown as the guest's: it is no word of cove.
Error guestError(const kj::Exception& exception);
template <typename Wait>
auto fromGuest(Wait&& wait) {
  try {
    return wait();
  } catch (const kj::Exception& e) {
    throw guestError(e);
  }
}

// The state as a user reads it: "created" for an instance that never ran, "ready (degraded)", "failed".
std::string describeState(rpc::InstanceInfo::Reader info);

}  // namespace cove::cli
