// One Cap'n Proto connection over a unix socket, with descriptors passed beside messages.
#pragma once
#include <chrono>
#include <kj/async-io.h>
#include <kj/async-unix.h>

#include "base/child.h"
#include "base/fd.h"
#include "rpc/network.h"

namespace cove {

enum class Side { kClient, kServer };

// Bounds of what a peer may send (limits.h).
capnp::ReaderOptions readerOptions();

// Owns the socket and everything that the peer holds of us; destroying it disconnects.
class Connection {
 public:
  Connection(kj::LowLevelAsyncIoProvider& io, Fd socket, Side side,
             capnp::Capability::Client served = nullptr);
  // Over any stream, without descriptors: the agent's channel.
  Connection(kj::Own<kj::AsyncIoStream> stream, Side side, capnp::Capability::Client served = nullptr);

  // What the peer serves.
  template <typename T>
  typename T::Client bootstrap() {
    return peer().castAs<T>();
  }
  // Resolves when the peer left, or was left.
  kj::Promise<void> onDisconnect() { return network_->onDisconnect(); }
  // Why it was left: the bound that it exceeded. "" otherwise.
  const std::string& refusal() const { return network_->refusal(); }

 private:
  void begin(kj::Own<capnp::MessageStream> messages, uint descriptors, capnp::Capability::Client served);
  capnp::Capability::Client peer();
  Side side_;
  kj::Own<kj::AsyncIoStream> stream_;
  kj::Own<RpcNetwork> network_;
  kj::Own<capnp::RpcSystem<capnp::rpc::twoparty::VatId>> system_;
};

// Connects to a unix socket that may lie deeper than sun_path can say: `name` below `dir`. ENOENT and
// ECONNREFUSED are Errors with that code(); EAGAIN means that its listener took nobody in within `patience`
// while its backlog was full (0: does not wait). The socket is O_NONBLOCK.
Fd connectUnix(const Fd& dir, const std::string& name,
               std::chrono::milliseconds patience = std::chrono::milliseconds{0});
// Binds and listens, mode 0600. The caller holds the lock that makes it the only one who may.
Fd listenUnix(const Fd& dir, const std::string& name, int backlog = 512);

// Who is at the other end (SO_PEERCRED): the uid at connect(), or at listen() for a server's socket.
struct Peer {
  uid_t uid;
  pid_t pid;
};
Peer peerOf(const Fd& socket);

// Resolves when the descriptor is readable, or the child has ended (it is reaped then).
kj::Promise<void> whenReadable(kj::UnixEventPort& port, int fd);
kj::Promise<Ended> whenEnded(kj::UnixEventPort& port, Child& child);

}  // namespace cove
