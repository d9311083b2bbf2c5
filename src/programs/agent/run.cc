#include "agent/run.h"

#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "base/text.h"
#include "rpc/co.h"
#include "rpc/connection.h"

namespace cove::agent {

namespace {
constexpr size_t kLongestOutput = 1 << 20;

std::string contentsOf(const Fd& file, const std::string& subject) {
  check(::lseek(file.get(), 0, SEEK_SET), "rewind the output of", subject);
  return readAll(file, kLongestOutput, "the output of " + subject);
}

co::Co<std::string> run(kj::UnixEventPort& port, std::vector<std::string> argv) {
  std::string name = argv.at(0);
  // Files in memory rather than pipes: nothing has to be read while it runs.
  Fd output = makeMemfd("stdout"), complaints = makeMemfd("stderr");
  Child::Spec spec;
  spec.argv = std::move(argv);
  spec.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"};
  spec.stdout = output.duplicate();
  spec.stderr = complaints.duplicate();
  Child child = Child::start(std::move(spec));
  Ended ended = co_await whenEnded(port, child);
  if (!ended.ok()) {
    std::string text = contentsOf(complaints, name);
    if (text.size() > 1024) text.erase(0, text.size() - 1024);
    throw Error(str(name, " failed with ", ended.describe(), ": ", escapeForTerminal(text)));
  }
  co_return contentsOf(output, name);
}
}  // namespace

kj::Promise<std::string> runProgram(kj::UnixEventPort& port, std::vector<std::string> argv) {
  return run(port, std::move(argv));
}

}  // namespace cove::agent
