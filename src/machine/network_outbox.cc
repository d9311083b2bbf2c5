#include "machine/network_outbox.h"

#include <cerrno>
#include <sys/socket.h>

namespace cove::network {

void Outbox::send(std::span<const uint8_t> frame) {
  if (waiting_.empty() && trySend(frame)) return;
  if (waiting_.size() < kMaxWaiting) waiting_.emplace_back(frame.begin(), frame.end());
}

void Outbox::flush() {
  while (!waiting_.empty() && trySend(waiting_.front())) waiting_.pop_front();
}

// False: the socket is full. A frame that it refuses for another reason is gone.
bool Outbox::trySend(std::span<const uint8_t> frame) {
  ssize_t n;
  do n = ::send(frames_.get(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n >= 0) return true;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return false;
  if (errno == ECONNREFUSED || errno == ECONNRESET || errno == ENOTCONN || errno == EPIPE) closed_ = true;
  return true;
}

}  // namespace cove::network
