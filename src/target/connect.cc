#include "target/connect.h"

#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/text.h"
#include "rpc/co.h"
#include "rpc/stream.h"

namespace cove {

namespace {
struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

template <typename T>
Address wrap(const T& address) {
  Address result;
  std::memcpy(&result.bytes, &address, sizeof address);
  result.size = sizeof address;
  return result;
}

Address unixAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (!path.starts_with('/') || path.size() >= sizeof address.sun_path ||
      path.find('\0') != std::string::npos)
    throw Error("cannot connect to a socket of that name: it must be absolute and short");
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return wrap(address);
}

// "1.2.3.4:22" or "[fe80::1]:22"; names are not looked up.
Address tcpAddress(const std::string& text) {
  size_t colon = text.rfind(':');
  uint16_t port = 0;
  if (colon != std::string::npos) {
    const char *begin = text.data() + colon + 1, *end = text.data() + text.size();
    auto parsed = std::from_chars(begin, end, port);
    if (parsed.ec != std::errc{} || parsed.ptr != end) port = 0;
  }
  std::string host = text.substr(0, colon);
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (port != 0 && ::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return wrap(v4);
  }
  if (port != 0 && host.size() > 2 && host.front() == '[' && host.back() == ']' &&
      ::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    return wrap(v6);
  }
  throw Error("cannot connect to tcp:" + escapeForTerminal(text) + ": that is no numeric address and port")
      .hint("Write tcp:127.0.0.1:80 or tcp:[::1]:80.");
}

Address parseAddress(const std::string& text) {
  if (text.starts_with("unix:")) return unixAddress(text.substr(5));
  if (text.starts_with("tcp:")) return tcpAddress(text.substr(4));
  throw Error("cannot connect to " + escapeForTerminal(text) + ": an address begins with tcp: or unix:");
}

co::Co<Fd> openConnection(kj::UnixEventPort& port, std::string text) {
  Address address = parseAddress(text);
  int family = address.bytes.ss_family;
  Fd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "make", "a socket");
  auto target = reinterpret_cast<const sockaddr*>(&address.bytes);
  if (::connect(socket.get(), target, address.size) < 0) {
    if (errno != EINPROGRESS) throw sysError("connect to", text);
    kj::UnixEventPort::FdObserver observer(port, socket.get(), kj::UnixEventPort::FdObserver::OBSERVE_WRITE);
    co_await observer.whenBecomesWritable();
    int error = 0;
    socklen_t size = sizeof error;
    check(::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size), "examine", "a socket");
    if (error != 0) throw sysError("connect to", text, error);
  }
  int on = 1;
  if (family != AF_UNIX) ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  co_return std::move(socket);
}

// Ends with the last reference to it: the client drops its sink when it wants no more.
class Connected final : public rpc::ByteSink::Server {
 public:
  Connected(kj::UnixEventPort& port, Fd socket, rpc::ByteSink::Client toClient)
      : sender_(port, socket.duplicate()),
        receiver_(kj::refcounted<StreamReceiver>(port, std::move(socket), halfClose)),
        sink_(receiver_->makeSink()) {
    sender_.attach(kj::mv(toClient));
  }
  kj::Promise<void> write(WriteContext context) override {
    auto params = context.getParams();
    auto request = sink_.writeRequest();
    request.setOffset(params.getOffset());
    request.setData(params.getData());
    context.allowCancellation();
    return request.send().ignoreResult();
  }
  kj::Promise<void> end(EndContext context) override {
    auto request = sink_.endRequest();
    request.setSize(context.getParams().getSize());
    context.allowCancellation();
    return request.send().ignoreResult();
  }

 private:
  static void halfClose(Fd& socket) { ::shutdown(socket.get(), SHUT_WR); }
  StreamSender sender_;
  kj::Own<StreamReceiver> receiver_;
  rpc::ByteSink::Client sink_;
};

co::Co<void> serve(kj::UnixEventPort& port, ConnectCall context) {
  auto params = context.getParams();
  Fd socket =
      co_await openConnection(port, std::string(params.getAddress().begin(), params.getAddress().size()));
  context.getResults().setToTarget(kj::heap<Connected>(port, std::move(socket), params.getToClient()));
}
}  // namespace

kj::Promise<void> connectTo(kj::UnixEventPort& port, ConnectCall context) {
  context.allowCancellation();
  return serve(port, context);
}

}  // namespace cove
