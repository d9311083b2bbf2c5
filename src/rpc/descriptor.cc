#include "rpc/descriptor.h"

#include <fcntl.h>

#include "base/error.h"

namespace cove {

namespace {
class HandedOver final : public rpc::Socket::Server {
 public:
  explicit HandedOver(Fd fd) : fd_(std::move(fd)) {}
  kj::Maybe<int> getFd() override { return fd_.get(); }

 private:
  Fd fd_;
};
}  // namespace

rpc::Socket::Client handOver(Fd fd) { return kj::heap<HandedOver>(std::move(fd)); }

kj::Promise<Fd> takeOver(rpc::Socket::Client socket) {
  auto carried = socket.getFd();
  // The capability owns the descriptor that it carries.
  return carried.then([socket = kj::mv(socket)](kj::Maybe<int>&& fd) {
    KJ_IF_MAYBE (number, fd) return Fd(::fcntl(*number, F_DUPFD_CLOEXEC, 3), "take", "a descriptor");
    throw Error("a message came without its descriptor");
  });
}

}  // namespace cove
