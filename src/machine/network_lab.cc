#include "machine/network_lab.h"

#include <arpa/inet.h>
#include <chrono>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <tuple>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "machine/network.h"

namespace cove::network {

namespace {

using Clock = std::chrono::steady_clock;

Fd newNamespace() {
  check(::unshare(CLONE_NEWNET), "make", "a network namespace");
  return openFile("/proc/self/ns/net", O_RDONLY);
}

Fd openTap() {
  Fd tap = openFile("/dev/net/tun", O_RDWR | O_NONBLOCK);
  ifreq request{};
  std::snprintf(request.ifr_name, sizeof request.ifr_name, "eth0");
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  check(::ioctl(tap.get(), TUNSETIFF, &request), "make", "a tap device");
  return tap;
}

sockaddr_storage toSockaddr(const std::string& address, int port, socklen_t& length) {
  sockaddr_storage storage{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    length = sizeof *v4;
  } else if (::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(port));
    length = sizeof *v6;
  } else {
    throw Error("not an address: " + address);
  }
  return storage;
}

Fd openSocket(const Place& place, bool listening) {
  socklen_t length = 0;
  sockaddr_storage to = toSockaddr(place.address, place.port, length);
  Fd socket(::socket(to.ss_family, (place.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
            "make", "a socket");
  auto* address = reinterpret_cast<sockaddr*>(&to);
  int on = 1;
  if (listening) {
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (to.ss_family == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (place.udp) ::setsockopt(socket.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    if (place.udp) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    if (place.udp) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
    check(::bind(socket.get(), address, length), "listen on", place.name());
    if (!place.udp) check(::listen(socket.get(), 50), "listen on", place.name());
  } else if (::connect(socket.get(), address, length) < 0 && errno != EINPROGRESS) {
    return {};
  }
  return socket;
}

// From the address that was asked, which a socket for all addresses would not do by itself.
void answerDatagram(int socket, std::string who) {
  char buffer[64];
  sockaddr_storage from{};
  alignas(cmsghdr) char control[128];
  iovec part{buffer, sizeof buffer};
  msghdr message{&from, sizeof from, &part, 1, control, sizeof control, 0};
  if (::recvmsg(socket, &message, 0) < 0) return;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_type == IP_PKTINFO) reinterpret_cast<in_pktinfo*>(CMSG_DATA(c))->ipi_ifindex = 0;
    if (c->cmsg_type == IPV6_PKTINFO) reinterpret_cast<in6_pktinfo*>(CMSG_DATA(c))->ipi6_ifindex = 0;
  }
  part = {who.data(), who.size()};
  ::sendmsg(socket, &message, 0);
}

[[noreturn]] void answerAll(const std::string& who, const std::vector<Fd>& sockets) {
  std::vector<pollfd> waits;
  for (const Fd& socket : sockets) waits.push_back({socket.get(), POLLIN, 0});
  for (;;) {
    if (::poll(waits.data(), waits.size(), -1) < 0) ::_exit(1);
    for (pollfd& wait : waits) {
      if (wait.revents == 0) continue;
      Fd accepted(::accept(wait.fd, nullptr, nullptr));
      if (accepted) {
        [[maybe_unused]] ssize_t n = ::write(accepted.get(), who.data(), who.size());
        continue;
      }
      answerDatagram(wait.fd, who);
    }
  }
}

[[noreturn]] void pump(const Fd& tap, const Fd& frames) {
  pollfd waits[2] = {{tap.get(), POLLIN, 0}, {frames.get(), POLLIN, 0}};
  setNonblocking(frames);
  char buffer[70000];
  for (;;) {
    if (::poll(waits, 2, -1) < 0) ::_exit(1);
    ssize_t n;
    while ((n = ::read(tap.get(), buffer, sizeof buffer)) > 0)
      if (::send(frames.get(), buffer, static_cast<size_t>(n), 0) < 0 && errno != EAGAIN) ::_exit(2);
    while ((n = ::recv(frames.get(), buffer, sizeof buffer, 0)) > 0) {
      [[maybe_unused]] ssize_t m = ::write(tap.get(), buffer, static_cast<size_t>(n));
    }
  }
}

}  // namespace

Lab::Lab() {
  check(::unshare(CLONE_NEWNS), "make", "a mount namespace");
  check(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make private", "the mounts");
  check(::mount("tmpfs", "/etc", "tmpfs", 0, nullptr), "mount", "an empty /etc");
  writeAll(openFile("/etc/resolv.conf", O_WRONLY | O_CREAT, 0644), "nameserver 127.0.0.53\n", "resolv.conf");
  guest_ = newNamespace();
  tap_ = openTap();
  internet_ = newNamespace();
  host_ = newNamespace();
  hostRun(
      str("ip link add name h0 type veth peer name i0 netns /proc/", ::getpid(), "/fd/", internet_.get()));
  // 192.0.2.0/24 and 2001:db8:99::/48: local without being anybody's address (AnyIP).
  hostRun(
      "ip link set lo up; ip link set h0 up; ip addr add 203.0.113.2/24 broadcast 203.0.113.255 dev h0;"
      "ip addr add 169.254.1.1/16 dev h0; ip addr add 10.0.2.77/32 dev lo; ip addr add 2001:db8::2/64 dev h0 "
      "nodad; ip addr add fe80::2/64 dev h0 nodad; ip addr add fd00:77::2/64 dev h0 nodad;"
      "ip route add local 192.0.2.0/24 dev lo; ip -6 route add local 2001:db8:99::/48 dev lo;"
      "ip route add default via 203.0.113.1; ip -6 route add default via 2001:db8::1;"
      "ip route add 169.254.169.254/32 via 203.0.113.1");
  run(internet_,
      "ip link set lo up; ip link set i0 up; ip addr add 203.0.113.1/24 dev i0;"
      "ip addr add 2001:db8::1/64 dev i0 nodad; ip addr add fe80::53/64 dev i0 nodad; ip addr add "
      "fd00:77::1/64 dev i0 nodad;"
      "for a in 198.51.100.7 169.254.169.254 100.100.100.200 168.63.129.16; do ip addr add $a/32 dev lo; "
      "done;"
      "for a in 2001:db8:7::7 fd00:ec2::254 64:ff9b::a9fe:a9fe 64:ff9b::c633:6407 2002:7f00:1::1"
      " 2001:db8:7::5efe:7f00:1; do ip addr add $a/128 dev lo nodad; done");
  serve(host_, "host", "", {22, 80});
  serve(host_, "resolver", "127.0.0.53", {53});
  serve(internet_, "internet", "", {22, 53, 80});
}

void Lab::startGuest() {
  Fd ours, theirs;
  std::tie(ours, theirs) = makeSocketPair(SOCK_DGRAM);
  check(::setns(host_.get(), CLONE_NEWNET), "enter", "the host's namespace");
  network_.push_back(startNetwork(std::move(theirs), {COVE_NETWORK_PROGRAM}));
  servers_.push_back(Child::fork([&, &ours = ours]() -> int { pump(tap_, ours); }));
  // Loopback stays down, so that the guest's kernel sends 127.0.0.1 and ::1 to the network as well.
  guestRun(
      "sysctl -qw net.ipv4.conf.all.route_localnet=1; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0;"
      "ip addr add fec0::15/64 dev eth0 nodad; ip route add default via 10.0.2.2;"
      "ip route add 127.0.0.0/8 via 10.0.2.2 src 10.0.2.15; ip route add 169.254.0.0/16 via 10.0.2.2;"
      "ip -6 route add default via fec0::2 metric 1");
}

void Lab::run(const Fd& where, const std::string& command) const {
  capture({"nsenter", str("--net=/proc/", ::getpid(), "/fd/", where.get()), "sh", "-ec", command});
}

void Lab::serve(const Fd& where, std::string who, std::string address, std::vector<int> ports) {
  check(::setns(where.get(), CLONE_NEWNET), "enter", "a namespace");
  std::vector<Fd> sockets;
  std::vector<std::string> addresses = {address};
  if (address.empty()) addresses = {"0.0.0.0", "::"};
  for (const std::string& a : addresses)
    for (int port : ports)
      for (bool udp : {false, true}) sockets.push_back(openSocket({a, port, udp}, true));
  servers_.push_back(Child::fork([&]() -> int { answerAll(who, sockets); }));
  check(::setns(host_.get(), CLONE_NEWNET), "enter", "a namespace");
}

std::set<std::string> Lab::reached(const Fd& from, const std::vector<Place>& places) const {
  check(::setns(from.get(), CLONE_NEWNET), "enter", "a namespace");
  std::vector<Fd> sockets;
  std::vector<pollfd> waits;
  for (const Place& place : places) {
    sockets.push_back(openSocket(place, false));
    waits.push_back({sockets.back().get(), POLLIN, 0});
  }
  check(::setns(host_.get(), CLONE_NEWNET), "enter", "a namespace");
  std::set<std::string> result;
  auto nextQuestion = Clock::now(), end = nextQuestion + std::chrono::seconds(2);
  while (Clock::now() < end && result.size() < places.size()) {
    if (Clock::now() >= nextQuestion) {
      nextQuestion += std::chrono::milliseconds(400);
      for (size_t i = 0; i < places.size(); ++i)
        if (places[i].udp && waits[i].fd >= 0) ::send(waits[i].fd, "?", 1, MSG_NOSIGNAL);
    }
    ::poll(waits.data(), waits.size(), 100);
    for (size_t i = 0; i < places.size(); ++i) {
      if (waits[i].fd < 0 || waits[i].revents == 0) continue;
      char buffer[64];
      ssize_t n = ::recv(waits[i].fd, buffer, sizeof buffer, 0);
      if (n > 0) result.insert(places[i].name() + ": " + std::string(buffer, static_cast<size_t>(n)));
      if (n > 0 || !places[i].udp) waits[i].fd = -1;
    }
  }
  return result;
}

}  // namespace cove::network
