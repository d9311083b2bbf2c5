#include "image_builder/command.h"

#include <cerrno>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "base/text.h"

namespace cove::image {

namespace {
constexpr size_t kLongestLine = 4096;  // the rest of a longer one goes to the log only
}

void runLogged(const std::string& what, std::vector<std::string> argv,
               const std::vector<std::string>& environment, const LineCallback& onLine) {
  std::string program = argv.at(0);
  Pipe output = makePipe();
  Child::Spec spec;
  spec.argv = std::move(argv);
  spec.env = environment;
  spec.stdout = output.write.duplicate();
  spec.stderr = std::move(output.write);
  Child child = Child::start(std::move(spec));
  std::string line;
  char buffer[8192];
  for (;;) {
    ssize_t n = ::read(output.read.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    check(n, "read the output of", program);
    if (n == 0) break;
    std::string_view data(buffer, static_cast<size_t>(n));
    [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, data.data(), data.size());
    for (char c : data) {
      if (c != '\n') {
        if (line.size() < kLongestLine) line += c;
        continue;
      }
      if (onLine) onLine(line);
      line.clear();
    }
  }
  if (Ended ended = child.wait(); !ended.ok())
    throw Error(str(what.c_str(), ": ", program.c_str(), " ended with ", ended.describe().c_str()));
}

}  // namespace cove::image
