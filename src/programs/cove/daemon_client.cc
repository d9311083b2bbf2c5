#include "cove/daemon_client.h"

#include <csignal>
#include <kj/timer.h>
#include <unistd.h>

#include "base/child.h"
#include "base/paths.h"
#include "base/text.h"
#include "base/version.h"
#include "cove/daemon_start.h"
#include "rpc/co.h"

namespace cove {

namespace {

constexpr kj::Duration kHelloLimit = 10 * kj::SECONDS;
constexpr kj::Duration kSignalLimit = 10 * kj::SECONDS;  // until a daemon that was told to end is killed
// A daemon that ends closes connections that it had not accepted yet; the next try starts a new one.
constexpr int kTries = 5;

Error noAnswer(const DaemonPlaces& places) {
  return Error("the daemon does not answer" + daemonLogTail(places))
      .hint("End it, then try again (machines go on running):\n  cove daemon stop");
}

}  // namespace

DaemonClient::DaemonClient(kj::AsyncIoContext& io, Fd socket)
    : connection_(*io.lowLevelProvider, std::move(socket), Side::kClient),
      daemon_(connection_.bootstrap<rpc::Daemon>()) {}

// One command's way to the daemon.
class DaemonStarter {
 public:
  using Client = std::unique_ptr<DaemonClient>;
  DaemonStarter(kj::AsyncIoContext& io, DaemonClient::Notice notice) : io_(io), notice_(std::move(notice)) {}

  co::Co<Client> find(Autostart autostart) {
    bool restarted = false;
    for (int attempt = 1;; ++attempt) {
      auto socket = connectDaemon(places_);
      if (!socket) {
        if (autostart == Autostart::kNo) co_return nullptr;
        socket = startDaemon(places_, autostart == Autostart::kRegardless,
                             [this] { notice_("starting daemon…"); });
      }
      Client client(new DaemonClient(io_, std::move(*socket)));
      Greeting greeting = co_await greet(*client);
      if (greeting == Greeting::kEnding) {
        if (attempt == kTries) throw Error("the daemon ends whenever it is asked" + daemonLogTail(places_));
        continue;
      }
      if (greeting == Greeting::kOutdated && autostart != Autostart::kNo && !restarted) {
        restarted = true;
        bool ended = co_await replace(*client);
        if (ended) continue;
      }
      co_return kj::mv(client);
    }
  }

  co::Co<bool> stop() {
    std::string why;
    try {
      Client client = co_await find(Autostart::kNo);
      if (!client) co_return false;
      co_await shutDown(*client);
      co_return true;
    } catch (...) {
      why = currentError().message();
    }
    // It cannot be asked: it hangs, or is of another protocol. Its journal makes even the last resort safe.
    notice_("warning: ending the daemon by a signal: " + why);
    for (int signal : {SIGTERM, SIGKILL}) {
      auto process = signalDaemon(places_, signal);
      if (!process) break;
      bool ended = co_await endsWithin(kSignalLimit, *process);
      if (ended) break;
    }
    co_return true;
  }

  // Answered when the process has ended.
  co::Co<void> shutDown(DaemonClient& client) {
    auto state = co_await limited(client.daemon().stateRequest().send());
    pid_t pid = state.getInfo().getPid();
    auto process = openProcess({pid, startTimeOf(pid).value_or(0)});
    try {
      co_await client.daemon().shutdownRequest().send();
    } catch (const kj::Exception& e) {
      if (!isDisconnected(e)) throw;
    }
    if (process) co_await whenReadable(io_.unixEventPort, process->get());
  }

 private:
  enum class Greeting { kFine, kOutdated, kEnding };

  co::Co<Greeting> greet(DaemonClient& client) {
    try {
      auto response = co_await limited(client.daemon().helloRequest().send());
      auto hello = response.getHello();
      if (std::string(hello.getStateDirectory()) != places_.state.id)
        throw Error("the daemon on this socket serves another state directory").hint("Try again.");
      if (hello.getProtocol() != rpc::PROTOCOL)
        throw Error(str("the running daemon speaks protocol ", hello.getProtocol(), ", this program ",
                        static_cast<uint32_t>(rpc::PROTOCOL)))
            .hint("End it when its machines may be left alone:\n  cove daemon stop");
      bool outdated = DaemonClient::isOutdated(hello.getBuildId().cStr());
      co_return outdated ? Greeting::kOutdated : Greeting::kFine;
    } catch (const kj::Exception& e) {
      if (!isDisconnected(e)) throw;
    }
    co_return Greeting::kEnding;
  }

  // An older daemon that does nothing gives way to the installed one; another is good enough, and no command
  // speaks of it on a stderr that may be another program's: `daemon state` does.
  co::Co<bool> replace(DaemonClient& client) {
    auto state = co_await limited(client.daemon().stateRequest().send());
    auto info = state.getInfo();
    if (info.getMachines() > 0 || info.getOperations().size() > 0 || info.getClients() > 1) co_return false;
    co_await shutDown(client);
    co_return true;
  }

  kj::Promise<bool> endsWithin(kj::Duration limit, const Fd& process) {
    return whenReadable(io_.unixEventPort, process.get())
        .then([] { return true; })
        .exclusiveJoin(io_.provider->getTimer().afterDelay(limit).then([] { return false; }));
  }

  // Nobody hangs on a daemon that is stopped or stuck.
  template <typename P>
  kj::Promise<capnp::Response<P>> limited(capnp::RemotePromise<P>&& promise) {
    return kj::Promise<capnp::Response<P>>(kj::mv(promise))
        .exclusiveJoin(
            io_.provider->getTimer()
                .afterDelay(kHelloLimit)
                .then([this]() -> kj::Promise<capnp::Response<P>> { return toKj(noAnswer(places_)); }));
  }

  kj::AsyncIoContext& io_;
  DaemonClient::Notice notice_;
  DaemonPlaces places_;
};

kj::Promise<std::unique_ptr<DaemonClient>> DaemonClient::connect(kj::AsyncIoContext& io, Autostart autostart,
                                                                 Notice notice) {
  auto starter = kj::heap<DaemonStarter>(io, std::move(notice));
  auto promise = starter->find(autostart);
  return promise.attach(kj::mv(starter));
}

kj::Promise<bool> DaemonClient::stop(kj::AsyncIoContext& io) {
  auto starter = kj::heap<DaemonStarter>(io, printNotice);
  kj::Promise<bool> promise = starter->stop();
  return promise.attach(kj::mv(starter));
}

bool DaemonClient::isOutdated(std::string_view buildId) {
  try {
    return isNewerBuild(buildIdOf(programPath("coved")), buildId);
  } catch (const Error&) {
    return false;  // none beside us: whatever runs is new enough
  }
}

void DaemonClient::printNotice(std::string_view line) {
  std::string text = str("cove: ", line, "\n");
  [[maybe_unused]] ssize_t n = ::write(2, text.data(), text.size());
}

}  // namespace cove
