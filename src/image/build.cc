#include "image/build.h"

#include <array>
#include <cerrno>
#include <ctime>
#include <poll.h>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "base/paths.h"
#include "base/text.h"
#include "image/preconditions.h"
#include "rpc/connection.h"

namespace cove::image {

namespace {

constexpr size_t kLongestLine = 4096;
constexpr size_t kLogTail = 64 * 1024;
constexpr kj::Duration kLockPause = 100 * kj::MILLISECONDS;
constexpr int kEndPatience = 1000;  // ms

// What apt, and the shells that dpkg runs, understand.
constexpr std::array kPassedOn = {"http_proxy", "https_proxy", "no_proxy",
                                  "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"};

// cove-image at work. It ends when nobody reads its progress any more, after its sandbox; if that takes too
// long, or coved is killed, the kernel kills it, process 1 of the sandbox with it, and all others with
// process 1.
struct Builder {
  Child child;
  Fd progress;

  ~Builder() {
    if (child.pid() == 0) return;
    progress.reset();
    pollfd end{child.pidfd().get(), POLLIN, 0};
    ::poll(&end, 1, kEndPatience);
  }  // ~Child kills what is left
};

Builder startBuilder(const Os& os, const BuildOptions& options, const Staging& staging, const Fd& log) {
  BuildRequest request{os, options.mirror, options.securityMirror, options.environment};
  std::string text = request.encode();
  std::string_view parts[] = {text};
  Pipe progress = makePipe();
  setNonblocking(progress.read);
  Child::Spec spec;
  spec.argv = {options.program.empty() ? programPath("cove-image") : options.program};
  spec.env = std::vector<std::string>{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  spec.stderr = log.duplicate();
  spec.fds.emplace_back(kRequestFd, makeSealedMemfd("build request", parts));
  spec.fds.emplace_back(kStagingFd, staging.dir().duplicate());
  spec.fds.emplace_back(kProgressFd, std::move(progress.write));
  spec.dieWithParent = true;
  spec.newSession = true;  // a Ctrl-C in coved's terminal is not for it
  return {Child::start(std::move(spec)), std::move(progress.read)};
}

// Hands on progress until the last writer has closed the pipe.
co::Co<void> followProgress(kj::UnixEventPort& port, const Fd& pipe, const ProgressCallback& progress) {
  std::string line;
  char buffer[4096];
  for (;;) {
    ssize_t n = ::read(pipe.get(), buffer, sizeof buffer);
    if (n == 0) co_return;
    if (n < 0 && errno == EAGAIN) {
      co_await whenReadable(port, pipe.get());
      continue;
    }
    if (n < 0 && errno != EINTR) throw sysError("read", "the builder's progress");
    for (char c : std::string_view(buffer, n < 0 ? 0 : static_cast<size_t>(n))) {
      if (c != '\n') {
        if (line.size() < kLongestLine) line += c;
        continue;
      }
      if (auto p = Progress::decode(line)) progress(p->step, p->done, p->total);
      line.clear();
    }
  }
}

std::string tailOf(const Fd& log) {
  off_t size = statOf(log, "the log").st_size;
  off_t start = std::max<off_t>(0, size - static_cast<off_t>(kLogTail));
  std::string text(static_cast<size_t>(size - start), '\0');
  ssize_t n = ::pread(log.get(), text.data(), text.size(), start);
  text.resize(n < 0 ? 0 : static_cast<size_t>(n));
  return text;
}

// What the user should know before minutes and megabytes are spent.
std::string announce(const Recipe& r) {
  return str("building ", r.os.name().c_str(), " from Debian's archive: downloads about ",
             r.downloadBytes / 1'000'000, " MB, needs ", r.diskBytes / 1'000'000,
             " MB of disk; the build is in a sandbox that has this machine's network");
}

// The image that makes a build needless: any, or for a rebuild one that another finished since `since`.
std::optional<Image> suitable(const Store& store, const std::string& key, bool rebuild, int64_t since) {
  auto image = store.find(key);
  if (image && rebuild && image->manifest.builtAt < since) return std::nullopt;
  return image;
}

}  // namespace

BuildOptions buildOptionsFrom(const char* const* environment) {
  BuildOptions options;
  for (; *environment != nullptr; ++environment) {
    std::string_view entry = *environment;
    size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    std::string_view name = entry.substr(0, equals);
    std::string value(entry.substr(equals + 1));
    while (!value.empty() && value.back() == '/' && name.substr(0, 5) == "COVE_") value.pop_back();
    if (name == "COVE_MIRROR") options.mirror = value;
    if (name == "COVE_SECURITY_MIRROR") options.securityMirror = value;
    for (const char* passed : kPassedOn)
      if (name == passed) options.environment.emplace_back(entry);
  }
  return options;
}

co::Co<Image> build(kj::UnixEventPort& port, kj::Timer& timer, Store& store, Os os, BuildOptions options,
                    ProgressCallback progress) {
  Recipe recipe = recipeFor(os);
  std::string key = recipe.key();
  int64_t asked = ::time(nullptr);
  if (auto image = suitable(store, key, options.rebuild, asked)) co_return std::move(*image);
  checkPreconditions(recipe, options, store);

  auto lock = store.lockRecipe(key);
  if (!lock) progress("waiting for another build of the same image", 0, 0);
  while (!lock) {
    co_await timer.afterDelay(kLockPause);
    lock = store.lockRecipe(key);
  }
  if (auto image = suitable(store, key, options.rebuild, asked)) co_return std::move(*image);

  progress(announce(recipe), 0, 0);
  Fd log = store.openLog(key);
  Staging staging = store.stage();
  Builder builder = startBuilder(os, options, staging, log);
  co_await followProgress(port, builder.progress, progress);
  Ended ended = co_await whenEnded(port, builder.child);
  if (!ended.ok()) throw explainFailure(ended, tailOf(log), options.storePath + "/" + key + ".log");
  co_return store.commit(std::move(staging));
}

}  // namespace cove::image
