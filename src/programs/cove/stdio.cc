#include "cove/stdio.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/error.h"

namespace cove::cli {

namespace {

bool pipeSignalWasIgnored = false;

// KJ's event loop ignores SIGPIPE, so a broken pipe arrives as EPIPE; the signal is what callers expect.
void dieOfBrokenPipe() {
  if (pipeSignalWasIgnored) return;
  signal(SIGPIPE, SIG_DFL);
  raise(SIGPIPE);
}

// Returns false, with errno, when not all could be written. Another program may have made the open file
// nonblocking: then it waits.
bool writeFully(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t count = write(fd, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(count);
    } else if (errno == EAGAIN) {
      struct pollfd writable = {fd, POLLOUT, 0};
      poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace

void guardStandardDescriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free number is given out, which is `fd` as those below it are open. Kept across exec: what
    // cove starts expects three descriptors as well.
    open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
  }
  struct sigaction pipeSignal = {};
  sigaction(SIGPIPE, nullptr, &pipeSignal);
  pipeSignalWasIgnored = pipeSignal.sa_handler == SIG_IGN;
}

void writeOut(std::string_view text) {
  if (writeFully(STDOUT_FILENO, text)) return;
  int code = errno;
  if (code == EPIPE) dieOfBrokenPipe();
  throw sysError("write to", "standard output", code);
}

void writeErr(std::string_view text) { writeFully(STDERR_FILENO, text); }

}  // namespace cove::cli
