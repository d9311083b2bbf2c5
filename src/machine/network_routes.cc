#include "machine/network_routes.h"

#include <cerrno>
#include <cstring>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

namespace cove::network {

namespace {

constexpr int kLoopbackInterface = 1;  // in every network namespace (LOOPBACK_IFINDEX)

struct Question {
  nlmsghdr header{};
  rtmsg route{};
  rtattr attribute{};
  uint8_t address[16] = {};
};

Fd openNetlink() {
  return Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), "open",
            "a netlink socket for the host's routes");
}

// A route to another machine, and not by way of the loopback device.
bool leadsAway(const nlmsghdr* message) {
  auto* route = static_cast<const rtmsg*>(NLMSG_DATA(message));
  if (route->rtm_type == RTN_UNREACHABLE) return true;
  if (route->rtm_type != RTN_UNICAST) return false;
  auto left = static_cast<int>(message->nlmsg_len - NLMSG_LENGTH(sizeof(rtmsg)));
  for (auto* a = RTM_RTA(route); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
    if (a->rta_type != RTA_OIF || RTA_PAYLOAD(a) < sizeof(int)) continue;
    int interface;
    std::memcpy(&interface, RTA_DATA(a), sizeof interface);
    return interface != kLoopbackInterface;
  }
  return true;
}

}  // namespace

HostRoutes::HostRoutes() : questions_(openNetlink()), changes_(openNetlink()) {
  // A socket without a port of its own is taken for the sender of what the kernel announces, and left out.
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  check(::bind(changes_.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), "bind", "a netlink socket");
  for (int group : {RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
                    RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE})
    check(::setsockopt(changes_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group),
          "subscribe to", "changes of the host's routes");
}

void HostRoutes::catchUp() {
  for (;;) {
    char buffer[16];  // what changed does not matter; the rest of the message is cut off
    ssize_t n = ::recv(changes_.get(), buffer, sizeof buffer, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n < 0 && errno != ENOBUFS) throw sysError("read", "changes of the host's routes");
    answers_.clear();
  }
}

bool HostRoutes::isLocal(std::span<const uint8_t> address) {
  auto now = std::chrono::steady_clock::now();
  std::vector<uint8_t> key(address.begin(), address.end());
  if (auto known = answers_.find(key); known != answers_.end() && now < known->second.until)
    return known->second.local;
  if (answers_.size() >= kMaxAnswers) answers_.clear();
  bool local = ask(address);
  answers_.insert_or_assign(std::move(key), Answer{local, now + kAnswerLife});
  return local;
}

bool HostRoutes::ask(std::span<const uint8_t> address) {
  if (address.size() != 4 && address.size() != 16) return true;
  Question question;
  question.header.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(sizeof(rtmsg)) + RTA_LENGTH(address.size()));
  question.header.nlmsg_type = RTM_GETROUTE;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.header.nlmsg_seq = ++sequence_;
  question.route.rtm_family = address.size() == 4 ? AF_INET : AF_INET6;
  question.route.rtm_dst_len = static_cast<unsigned char>(address.size() * 8);
  question.attribute.rta_type = RTA_DST;
  question.attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(address.size()));
  std::memcpy(question.address, address.data(), address.size());
  if (::send(questions_.get(), &question, question.header.nlmsg_len, 0) < 0) return true;

  // The kernel answers before send() returns.
  for (;;) {
    alignas(nlmsghdr) char buffer[4096];
    ssize_t n = ::recv(questions_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == ENOBUFS)) continue;
    if (n < 0) return true;
    auto* message = reinterpret_cast<const nlmsghdr*>(buffer);
    if (!NLMSG_OK(message, static_cast<uint32_t>(n))) return true;
    if (message->nlmsg_seq != sequence_) continue;  // a late answer to an earlier question
    if (message->nlmsg_type == NLMSG_ERROR) {
      int code = -static_cast<const nlmsgerr*>(NLMSG_DATA(message))->error;
      return code != ENETUNREACH && code != EHOSTUNREACH;
    }
    return message->nlmsg_type != RTM_NEWROUTE || !leadsAway(message);
  }
}

}  // namespace cove::network
