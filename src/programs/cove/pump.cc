#include "cove/pump.h"

#include <cerrno>
#include <csignal>
#include <poll.h>
#include <unistd.h>

#include "rpc/limits.h"

namespace cove::cli {

namespace {

// Signals belong to the event loop's thread.
void blockSignals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

// Another program may have made the open file nonblocking; then this waits.
bool retry(int fd, short events) {
  if (errno == EINTR) return true;
  if (errno != EAGAIN) return false;
  struct pollfd ready = {fd, events, 0};
  poll(&ready, 1, -1);
  return true;
}

void copyAll(int from, int to) {
  static thread_local char buffer[kStreamChunk];
  while (true) {
    ssize_t count = read(from, buffer, sizeof buffer);
    if (count == 0) return;
    if (count < 0) {
      if (retry(from, POLLIN)) continue;
      return;
    }
    for (ssize_t done = 0; done < count;) {
      ssize_t written = write(to, buffer + done, count - done);
      if (written >= 0) {
        done += written;
      } else if (!retry(to, POLLOUT)) {
        return;
      }
    }
  }
}

}  // namespace

Fd readThrough(int shared) {
  Pipe pipe = makePipe();
  std::thread([shared, output = std::move(pipe.write)] {
    blockSignals();
    copyAll(shared, output.get());
  }).detach();
  return std::move(pipe.read);
}

WriteThrough::WriteThrough(int shared) {
  Pipe pipe = makePipe(), end = makePipe();
  input_ = std::move(pipe.write);
  finished_ = std::move(end.read);
  thread_ = std::thread([shared, source = std::move(pipe.read), running = std::move(end.write)] {
    blockSignals();
    copyAll(source.get(), shared);
  });
}

WriteThrough::~WriteThrough() {
  if (thread_.joinable()) thread_.detach();
}

void WriteThrough::drain() {
  input_.reset();
  if (thread_.joinable()) thread_.join();
}

}  // namespace cove::cli
