#include "agent/console.h"

#include <fcntl.h>
#include <string>
#include <unistd.h>

#include "base/text.h"

namespace cove::agent {

void report(Importance importance, std::string_view text) noexcept {
  try {
    int fd = ::open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) fd = ::open("/dev/console", O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return;
    // <2> is critical: below the "loglevel=3" of our kernel command line, so it reaches the console. One
    // write() is one record.
    std::string line = std::string(importance == Importance::kError ? "<2>" : "<6>") +
                       "cove-agent: " + escapeForTerminal(text.substr(0, 800)) + "\n";
    [[maybe_unused]] ssize_t n = ::write(fd, line.data(), line.size());
    ::close(fd);
  } catch (...) {
  }
}

void giveUp(std::string_view reason) noexcept {
  report(Importance::kError, std::string("boot failed: ") + std::string(reason.substr(0, 700)));
  ::_exit(1);
}

}  // namespace cove::agent
