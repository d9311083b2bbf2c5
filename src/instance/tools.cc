#include "instance/tools.h"

#include <cerrno>
#include <csignal>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "base/text.h"
#include "rpc/connection.h"

namespace cove {

namespace {

// Between a message and its hint on their way out of a forked child.
constexpr const char* kHintMark = "\n\n";

// A child whose complaints go into a file in memory.
struct Complaining {
  Fd complaints = makeMemfd("complaints");
  std::string read() const {
    ::lseek(complaints.get(), 0, SEEK_SET);
    std::string text = readAll(complaints, 1 << 20, "its complaints");
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return escapeForTerminal(text.size() > 4000 ? text.substr(text.size() - 4000) : text, true);
  }
};

}  // namespace

co::Co<void> runTool(kj::UnixEventPort& port, Fd dir, std::vector<std::string> argv, Fd file) {
  std::string name = argv.at(0);
  Complaining output;
  Child::Spec spec;
  spec.argv = std::move(argv);
  spec.stderr = output.complaints.duplicate();
  spec.dieWithParent = true;
  if (file) spec.fds.emplace_back(3, std::move(file));
  if (dir) spec.prepare = [number = dir.get()] { return ::fchdir(number) == 0 ? 0 : errno; };
  Child child = Child::start(std::move(spec));
  Ended ended = co_await whenEnded(port, child);
  if (!ended.ok()) throw Error(str(name, " failed with ", ended.describe(), ": ", output.read()));
}

co::Co<void> runForked(kj::UnixEventPort& port, std::string what, std::function<void()> body) {
  Complaining output;
  pid_t parent = ::getpid();
  Child child = Child::fork([&] {
    // It holds a copy of life.lock, which must not outlive the daemon.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) return 1;
    try {
      body();
      return 0;
    } catch (const Error& e) {
      writeAll(output.complaints, str(e.message(), kHintMark, e.hint()), "complaint");
    } catch (const std::exception& e) {
      writeAll(output.complaints, e.what(), "complaint");
    }
    return 1;
  });
  Ended ended = co_await whenEnded(port, child);
  if (ended.ok()) co_return;
  std::string text = output.read();
  size_t mark = text.find(kHintMark);
  std::string reason = text.empty() ? ended.describe() : text.substr(0, mark);
  throw Error(str("cannot ", what, ": ", reason))
      .hint(mark == std::string::npos ? "" : text.substr(mark + 2));
}

co::Co<void> makeKeyPair(kj::UnixEventPort& port, Fd dir, const std::string& comment) {
  // ssh-keygen would ask whether to replace them.
  for (const char* name : {"key", "key.pub"})
    if (::unlinkat(dir.get(), name, 0) != 0 && errno != ENOENT) throw sysError("remove the old", name);
  // A list of its own: g++ 12 cannot compile one in braces within co_await.
  std::vector<std::string> argv = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", "key"};
  co_await runTool(port, std::move(dir), std::move(argv));
}

co::Co<void> makeDisk(kj::UnixEventPort& port, Fd dir, std::string name, uint64_t bytes) {
  // A link that lies there, which a supervisor could have made, would be followed.
  if (::unlinkat(dir.get(), name.c_str(), 0) != 0 && errno != ENOENT) throw sysError("remove the old", name);
  Fd disk = openBeneath(dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);
  std::vector<std::string> argv = {"qemu-img", "create", "-q", "-f", "qcow2", "/proc/self/fd/3", str(bytes)};
  co_await runTool(port, Fd(), std::move(argv), std::move(disk));
}

}  // namespace cove
