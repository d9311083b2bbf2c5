// The network of one guest: libslirp between the guest's frames and the host's sockets, behind judge().
//
// One thread, one poll(2). An idle guest costs no wake-up but a router advertisement every few minutes. A
// guest that does not take its frames loses them; while it is slow, nothing is read for it from the host's
// sockets.
#pragma once
#include <memory>

#include "base/fd.h"
#include "machine/network_resolver.h"
#include "machine/network_routes.h"

namespace cove::network {

class Stack {
 public:
  // `frames`: SOCK_DGRAM, one Ethernet frame a datagram.
  Stack(Fd frames, HostRoutes routes, ResolverCopy resolver);
  ~Stack();
  // Until the other end of `frames` is gone, which a datagram socket shows when the next frame is sent to it.
  void run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cove::network
