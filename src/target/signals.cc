#include "target/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include "base/error.h"
#include "rpc/connection.h"

namespace cove {

SignalTaker::SignalTaker(kj::UnixEventPort& port, std::initializer_list<int> signals) : port_(port) {
  sigset_t taken;
  ::sigemptyset(&taken);
  for (int each : signals) ::sigaddset(&taken, each);
  fd_ = Fd(::signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK), "take", "signals");
  ::pthread_sigmask(SIG_BLOCK, &taken, &before_);
}

SignalTaker::~SignalTaker() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

kj::Promise<int> SignalTaker::next() {
  return whenReadable(port_, fd_.get()).then([this]() -> kj::Promise<int> {
    signalfd_siginfo info{};
    if (::read(fd_.get(), &info, sizeof info) != sizeof info) return next();
    return static_cast<int>(info.ssi_signo);
  });
}

}  // namespace cove
