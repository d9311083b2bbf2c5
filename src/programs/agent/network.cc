#include "agent/network.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"

namespace cove::agent {

namespace {
constexpr const char* kAddress = "10.0.2.15";
constexpr const char* kNetmask = "255.255.255.0";
constexpr const char* kGateway = "10.0.2.2";

sockaddr addressOf(const char* text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  ::inet_pton(AF_INET, text, &address.sin_addr);
  sockaddr generic;
  std::memcpy(&generic, &address, sizeof generic);
  return generic;
}

ifreq requestFor(const char* interface) {
  ifreq request{};
  std::strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
  return request;
}

void setAddress(const Fd& socket, unsigned long operation, const char* address) {
  ifreq request = requestFor("eth0");
  request.ifr_addr = addressOf(address);
  check(::ioctl(socket.get(), operation, &request), "set an address of", "eth0");
}

void bringUp(const Fd& socket, const char* interface) {
  ifreq request = requestFor(interface);
  check(::ioctl(socket.get(), SIOCGIFFLAGS, &request), "examine", interface);
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  check(::ioctl(socket.get(), SIOCSIFFLAGS, &request), "bring up", interface);
}
}  // namespace

void configureNetwork() {
  // A datagram socket: the first TCP socket would draw the kernel's sequence key, which clones must not
  // share.
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "make", "a socket");
  bringUp(socket, "lo");
  ifreq present = requestFor("eth0");
  if (::ioctl(socket.get(), SIOCGIFINDEX, &present) < 0 && errno == ENODEV) return;
  setAddress(socket, SIOCSIFADDR, kAddress);
  setAddress(socket, SIOCSIFNETMASK, kNetmask);
  bringUp(socket, "eth0");
  rtentry route{};
  route.rt_dst = addressOf("0.0.0.0");
  route.rt_genmask = addressOf("0.0.0.0");
  route.rt_gateway = addressOf(kGateway);
  route.rt_flags = RTF_UP | RTF_GATEWAY;
  if (::ioctl(socket.get(), SIOCADDRT, &route) < 0 && errno != EEXIST)
    throw sysError("set the default route through", kGateway);
}

}  // namespace cove::agent
