#include "rpc/connection.h"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "rpc/error.h"
#include "rpc/limits.h"

namespace cove {

namespace {
constexpr uint kDescriptorsPerMessage = 4;

capnp::rpc::twoparty::Side sideOf(Side side) {
  return side == Side::kClient ? capnp::rpc::twoparty::Side::CLIENT : capnp::rpc::twoparty::Side::SERVER;
}

// "/proc/self/fd/N/NAME" fits sun_path however deep the directory lies, and cannot be redirected.
sockaddr_un addressOf(const Fd& dir, const std::string& name) {
  std::string path = str("/proc/self/fd/", dir.get(), "/", name.c_str());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.find('/') != std::string::npos || path.size() >= sizeof address.sun_path)
    throw Error("cannot use the socket name " + name);
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return address;
}

// A peer may ask for it all the same, and Cap'n Proto 0.9 crashes when it hands out a null capability.
capnp::Capability::Client servedOrError(capnp::Capability::Client served) {
  capnp::Capability::Client copy = served;
  if (!capnp::ClientHook::from(kj::mv(copy))->isNull()) return served;
  return toKj(Error("nothing is served on this side of the connection"));
}

Fd newSocket(int flags) {
  return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), "make", "a socket");
}
}  // namespace

capnp::ReaderOptions readerOptions() {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = kMessageWords;
  options.nestingLimit = 32;
  return options;
}

Connection::Connection(kj::LowLevelAsyncIoProvider& io, Fd socket, Side side,
                       capnp::Capability::Client served)
    : side_(side) {
  // KJ sets O_NONBLOCK itself.
  kj::Own<kj::AsyncCapabilityStream> stream =
      io.wrapUnixSocketFd(socket.release(), kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP |
                                                kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
  kj::Own<capnp::MessageStream> messages = kj::heap<capnp::AsyncCapabilityMessageStream>(*stream);
  stream_ = kj::mv(stream);
  begin(kj::mv(messages), kDescriptorsPerMessage, kj::mv(served));
}

Connection::Connection(kj::Own<kj::AsyncIoStream> stream, Side side, capnp::Capability::Client served)
    : side_(side), stream_(kj::mv(stream)) {
  begin(kj::heap<capnp::AsyncIoMessageStream>(*stream_), 0, kj::mv(served));
}

void Connection::begin(kj::Own<capnp::MessageStream> messages, uint descriptors,
                       capnp::Capability::Client served) {
  network_ = kj::heap<RpcNetwork>(kj::mv(messages), descriptors, sideOf(side_));
  system_ = kj::heap<capnp::RpcSystem<capnp::rpc::twoparty::VatId>>(
      capnp::makeRpcServer(*network_, servedOrError(kj::mv(served))));
  system_->setFlowLimit(kUnansweredWords);
}

capnp::Capability::Client Connection::peer() {
  capnp::word scratch[8];
  std::memset(scratch, 0, sizeof scratch);
  capnp::MallocMessageBuilder message(kj::arrayPtr(scratch, 8));
  auto id = message.initRoot<capnp::rpc::twoparty::VatId>();
  id.setSide(sideOf(side_ == Side::kClient ? Side::kServer : Side::kClient));
  return system_->bootstrap(id);
}

Fd connectUnix(const Fd& dir, const std::string& name, std::chrono::milliseconds patience) {
  sockaddr_un address = addressOf(dir, name);
  Fd socket = newSocket(patience.count() > 0 ? 0 : SOCK_NONBLOCK);
  // Bounds connect() on a full backlog, for which it would wait without end.
  timeval limit{patience.count() / 1000, patience.count() % 1000 * 1000};
  check(::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), "limit", "the connection");
  int result;
  do result = ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  while (result < 0 && errno == EINTR);
  check(result, "connect to", name);
  setNonblocking(socket);  // the limit is for connect() alone
  return socket;
}

Fd listenUnix(const Fd& dir, const std::string& name, int backlog) {
  sockaddr_un address = addressOf(dir, name);
  Fd socket = newSocket(0);
  if (::unlinkat(dir.get(), name.c_str(), 0) < 0 && errno != ENOENT) throw sysError("remove the old", name);
  mode_t old = ::umask(0177);
  int result = ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  int code = errno;
  ::umask(old);
  if (result < 0) throw sysError("bind", name, code);
  check(::listen(socket.get(), backlog), "listen on", name);
  return socket;
}

Peer peerOf(const Fd& socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  check(::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size), "identify", "the peer");
  return {credentials.uid, credentials.pid};
}

kj::Promise<void> whenReadable(kj::UnixEventPort& port, int fd) {
  auto observer =
      kj::heap<kj::UnixEventPort::FdObserver>(port, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ);
  auto promise = observer->whenBecomesReadable();
  return promise.attach(kj::mv(observer));
}

kj::Promise<Ended> whenEnded(kj::UnixEventPort& port, Child& child) {
  return whenReadable(port, child.pidfd().get()).then([&child]() { return child.wait(); });
}

}  // namespace cove
