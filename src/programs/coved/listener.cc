#include "coved/listener.h"

#include <cerrno>
#include <kj/timer.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {
// How often the socket's name is looked at. /run/user/UID vanishes at the user's last logout.
constexpr kj::Duration kLookInterval = 5 * kj::SECONDS;
}  // namespace

Listener::Listener(kj::AsyncIoContext& io, const StateDir& state, const Lock& lifeLock, const Log& log)
    : io_(io),
      log_(log),
      lifeLock_(lifeLock),
      name_(socketName(state)),
      lastChange_(io.provider->getTimer().now()),
      errors_(log) {
  bind();
}

Listener::~Listener() {
  if (isBound()) ::unlinkat(runtime_.fd.get(), name_.c_str(), 0);
}

void Listener::bind() {
  runtime_ = openRuntimeDir();
  socket_ = listenUnix(runtime_.fd, name_);
  setNonblocking(socket_);
  struct stat st;
  check(::fstatat(runtime_.fd.get(), name_.c_str(), &st, AT_SYMLINK_NOFOLLOW), "examine", socketPath());
  inode_ = st.st_ino;
  std::string holder = str(::getpid(), " ", startTimeOf(::getpid()).value_or(0), " ", runtime_.path, "\n");
  check(::ftruncate(lifeLock_.fd().get(), 0), "write", kLifeLockName);
  check(::pwrite(lifeLock_.fd().get(), holder.data(), holder.size(), 0), "write", kLifeLockName);
}

// By path: the directory itself may have been removed and made anew.
bool Listener::isBound() const {
  struct stat st;
  return ::lstat(socketPath().c_str(), &st) == 0 && st.st_ino == inode_;
}

co::Co<void> Listener::serve(capnp::Capability::Client served) {
  for (;;) {
    co_await acceptAll(served).exclusiveJoin(whenUnbound());
    log_.warning(str("the socket ", socketPath(), " is gone: binding it again"));
    bind();
  }
}

co::Co<void> Listener::whenUnbound() {
  while (isBound()) co_await io_.provider->getTimer().afterDelay(kLookInterval);
}

co::Co<void> Listener::acceptAll(capnp::Capability::Client served) {
  for (;;) {
    int fd = ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) {
      admit(Fd(fd), served);
    } else if (errno == EAGAIN) {
      co_await whenReadable(io_.unixEventPort, socket_.get());
    } else if (errno != ECONNABORTED && errno != EINTR) {
      log_.warning(sysError("accept", "a client").message());  // no descriptors left, as a rule
      co_await io_.provider->getTimer().afterDelay(100 * kj::MILLISECONDS);
    }
  }
}

void Listener::disconnectAll() {
  departures_ = kj::heap<kj::TaskSet>(errors_);
  connections_.clear();
}

void Listener::admit(Fd socket, capnp::Capability::Client served) {
  lastChange_ = io_.provider->getTimer().now();
  uid_t uid = peerOf(socket).uid;
  if (uid != ::geteuid()) {
    log_.warning(str("uid ", uid, " was refused"));
    served = toKj(Error(str("uid ", uid, " may not use the daemon of uid ", ::geteuid())));
  }
  auto place = connections_.emplace(connections_.end(), *io_.lowLevelProvider, std::move(socket),
                                    Side::kServer, kj::mv(served));
  departures_->add(place->onDisconnect().then([this, place] {
    lastChange_ = io_.provider->getTimer().now();
    connections_.erase(place);
  }));
}

void Listener::ErrorLog::taskFailed(kj::Exception&& e) { log.error(fromKj(e).what()); }

}  // namespace cove
