#include "agent/readiness.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/console.h"
#include "agent/etc.h"
#include "base/error.h"
#include "rpc/co.h"
#include "rpc/connection.h"

namespace cove::agent {

namespace {
// Remembers it for an agent that is started after the datagram was taken.
constexpr const char* kReadyFile = "/run/cove/ready";
constexpr size_t kMostUnits = 100;
constexpr size_t kLongestUnitName = 256;

constexpr const char* kStoppingUnitName = "cove-stopping.service";
// Runs first of all that a shutdown does, as it waits for nothing.
constexpr const char* kStoppingUnit = R"([Unit]
Description=Tell the host that this machine stops
DefaultDependencies=no
Before=shutdown.target

[Service]
Type=oneshot
Environment=NOTIFY_SOCKET=/run/cove/notify
ExecStart=systemd-notify --no-block STOPPING=1
)";
}  // namespace

Fd bindNotifySocket() {
  makeDirectory("run/cove");
  Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "make", "a socket");
  int on = 1;
  check(::setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on), "configure", kNotifySocket);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, kNotifySocket, sizeof address.sun_path - 1);
  mode_t old = ::umask(0177);
  int result = ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  int code = errno;
  ::umask(old);
  if (result < 0) throw sysError("bind", kNotifySocket, code);
  return socket;
}

void writeStoppingUnit() { writeUnit(kStoppingUnitName, kStoppingUnit, "shutdown.target"); }

bool says(std::string_view datagram, std::string_view assignment) {
  while (!datagram.empty()) {
    size_t end = std::min(datagram.find('\n'), datagram.size());
    if (datagram.substr(0, end) == assignment) return true;
    datagram.remove_prefix(std::min(end + 1, datagram.size()));
  }
  return false;
}

std::vector<std::string> parseUnitList(std::string_view text) {
  std::vector<std::string> units;
  while (!text.empty() && units.size() < kMostUnits) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    size_t first = std::min(line.find_first_not_of(' '), line.size());
    std::string_view name = line.substr(first, line.find(' ', first) - first);
    if (!name.empty() && name.size() <= kLongestUnitName) units.emplace_back(name);
  }
  return units;
}

Readiness::Notice::Notice() {
  auto pair = kj::newPromiseAndFulfiller<void>();
  fulfiller = kj::mv(pair.fulfiller);
  promise = pair.promise.fork();
}

Readiness::Readiness(kj::UnixEventPort& port, Fd notify) : notify_(std::move(notify)) {
  if (!notify_ || ::access(kReadyFile, F_OK) == 0) ready_.fulfiller->fulfill();
  if (notify_)
    listening_ = listen(port).eagerlyEvaluate(
        [](kj::Exception&& e) { report(Importance::kError, fromKj(e).message()); });
}

co::Co<void> Readiness::listen(kj::UnixEventPort& port) {
  for (;;) {
    co_await whenReadable(port, notify_.get());
    while (receive()) {
    }
  }
}

// Takes one datagram. False when there is none.
bool Readiness::receive() {
  char text[4096];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  iovec part{text, sizeof text};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size = ::recvmsg(notify_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0) {
    if (errno == EAGAIN) return false;
    if (errno == EINTR) return true;
    throw sysError("read", "the readiness socket");
  }
  std::string_view datagram(text, static_cast<size_t>(size));
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS) continue;
    ucred sender;
    std::memcpy(&sender, CMSG_DATA(c), sizeof sender);
    if (sender.pid == 1 && says(datagram, "READY=1")) {
      ready_.fulfiller->fulfill();
      Fd file = openFile(kReadyFile, O_WRONLY | O_CREAT, 0644);
    }
    if (sender.uid == 0 && says(datagram, "STOPPING=1")) stopping_.fulfiller->fulfill();
  }
  return true;
}

}  // namespace cove::agent
