// coved: the daemon. Started by a client (programs/cove/daemon_start.h), which tells it the state directory
// and a pipe for "R" (it listens) or "E" and a reason.
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <getopt.h>
#include <kj/async-unix.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/lock.h"
#include "base/privileges.h"
#include "base/text.h"
#include "base/version.h"
#include "coved/daemon.h"

namespace cove {

namespace {

void protectProcess() {
  keepOutOfCores();
  // Supervisors are started by a child that ends at once; they come to us, so that somebody reaps them.
  check(::prctl(PR_SET_CHILD_SUBREAPER, 1), "become", "the reaper of supervisors");
  ::umask(077);
  ::signal(SIGPIPE, SIG_IGN);
}

// Every client, supervisor and image build holds descriptors.
void raiseDescriptorLimit() {
  struct rlimit limit {};
  check(::getrlimit(RLIMIT_NOFILE, &limit), "read", "the descriptor limit");
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 16384);
  check(::setrlimit(RLIMIT_NOFILE, &limit), "raise", "the descriptor limit");
}

// Tells the client that started us; the pipe's end without an answer is a crash.
void answer(Fd& ready, const std::string& text) {
  if (!ready) return;
  [[maybe_unused]] ssize_t n = ::write(ready.get(), text.data(), text.size());
  ready.reset();
}

int serve(const std::string& home, Fd ready) {
  kj::UnixEventPort::captureSignal(SIGTERM);
  kj::UnixEventPort::captureSignal(SIGINT);
  kj::AsyncIoContext io = kj::setupAsyncIo();
  std::optional<Daemon> daemon;
  try {
    protectProcess();
    raiseDescriptorLimit();
    if (::sodium_init() < 0) throw Error("cannot use libsodium");  // chooses what this processor does fastest
    daemon.emplace(io, home);
    daemon->start();
    answer(ready, "R");
    daemon->run();
    return 0;
  } catch (...) {
    Error error = currentError();
    if (daemon) daemon->log().error(error.message());
    answer(ready, str("E", error.message(), error.hint().empty() ? "" : "\n", error.hint()));
    return 1;
  }
}

struct Options {
  std::string home;
  int ready = -1;
  bool version = false;
};

// nullopt: not understood; getopt or the usage line says so.
std::optional<Options> parse(int argc, char** argv) {
  constexpr option kOptions[] = {{"home", required_argument, nullptr, 'h'},
                                 {"ready", required_argument, nullptr, 'r'},
                                 {"version", no_argument, nullptr, 'v'},
                                 {}};
  Options options;
  bool valid = true;
  for (int letter; (letter = ::getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    if (letter == 'h') options.home = optarg;
    if (letter == 'v') options.version = true;
    if (letter == '?') valid = false;
    if (letter != 'r') continue;
    const char* end = optarg + std::strlen(optarg);
    auto result = std::from_chars(optarg, end, options.ready);
    valid = valid && result.ec == std::errc() && result.ptr == end && options.ready > 2;
  }
  if (valid && optind == argc && (options.version || !options.home.empty())) return options;
  std::fputs(
      "coved: the daemon of cove, started by it when needed\n"
      "usage: coved --home DIRECTORY [--ready DESCRIPTOR]\n",
      stderr);
  return std::nullopt;
}

}  // namespace
}  // namespace cove

int main(int argc, char** argv) {
  auto options = cove::parse(argc, argv);
  if (!options) return static_cast<int>(cove::Exit::kUsage);
  if (options->version) return std::printf("%s\n", std::string(cove::version()).c_str()) < 0 ? 1 : 0;
  if (options->ready >= 0 && ::fcntl(options->ready, F_SETFD, FD_CLOEXEC) != 0) {
    std::perror("coved: --ready");
    return static_cast<int>(cove::Exit::kUsage);
  }
  return cove::serve(options->home, cove::Fd(options->ready));
}
