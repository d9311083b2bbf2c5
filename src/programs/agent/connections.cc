#include "agent/connections.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <memory>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cove::agent {

namespace {
constexpr const char* kWhat = "the guest's connections";
// What has no peer, or nobody who waits.
constexpr uint32_t kStates = ~(1U << TCP_LISTEN | 1U << TCP_CLOSE | 1U << TCP_TIME_WAIT);

template <typename Address>
in6_addr addressOf(const Address& bytes, bool v6) {
  in6_addr address{};
  if (v6) {
    std::memcpy(&address, &bytes, sizeof address);
  } else {
    std::memset(address.s6_addr + 10, 0xff, 2);
    std::memcpy(address.s6_addr + 12, &bytes, 4);
  }
  return address;
}

// Of all processes, each once.
std::vector<Fd> networkNamespaces() {
  std::vector<Fd> namespaces;
  std::set<ino_t> known;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    Fd ns(::open((entry.path() / "ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    if (ns && known.insert(statOf(ns).st_ino).second) namespaces.push_back(std::move(ns));
  }
  return namespaces;
}

void enter(const Fd& ns) { check(::setns(ns.get(), CLONE_NEWNET), "enter", "a network namespace"); }

void addAddresses(Addresses& own) {
  ifaddrs* list = nullptr;
  check(::getifaddrs(&list), "list", "the guest's addresses");
  std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owned(list, ::freeifaddrs);
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr) continue;
    if (each->ifa_addr->sa_family == AF_INET)
      own.insert(addressOf(reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr, false));
    if (each->ifa_addr->sa_family == AF_INET6)
      own.insert(addressOf(reinterpret_cast<const sockaddr_in6*>(each->ifa_addr)->sin6_addr, true));
  }
}

class SocketDiagnosis {
 public:
  void ask(uint16_t type, uint16_t flags, const inet_diag_req_v2& request) {
    struct {
      nlmsghdr header;
      inet_diag_req_v2 request;
    } message{};
    message.header = {sizeof message, type, static_cast<uint16_t>(NLM_F_REQUEST | flags), 0, 0};
    message.request = request;
    check(::send(socket_.get(), &message, sizeof message, 0), "ask for", kWhat);
  }

  std::vector<inet_diag_sockid> list(uint8_t family, const Addresses& own) {
    inet_diag_req_v2 request{};
    request.sdiag_family = family;
    request.sdiag_protocol = IPPROTO_TCP;
    request.idiag_states = kStates;
    ask(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, request);
    std::vector<inet_diag_sockid> found;
    for (;;) {
      ssize_t size = receive();
      for (auto* at = reinterpret_cast<nlmsghdr*>(buffer_.data()); NLMSG_OK(at, size);
           at = NLMSG_NEXT(at, size)) {
        if (at->nlmsg_type == NLMSG_DONE) return found;
        if (at->nlmsg_type == NLMSG_ERROR) fail(*at);
        if (at->nlmsg_type != SOCK_DIAG_BY_FAMILY) continue;
        const auto& socket = *static_cast<inet_diag_msg*>(NLMSG_DATA(at));
        if (!staysInside(addressOf(socket.id.idiag_dst, socket.idiag_family == AF_INET6), own))
          found.push_back(socket.id);
      }
    }
  }

  void destroy(uint8_t family, const inet_diag_sockid& id) {
    inet_diag_req_v2 request{};
    request.sdiag_family = family;
    request.sdiag_protocol = IPPROTO_TCP;
    request.idiag_states = kStates;
    request.id = id;
    ask(SOCK_DESTROY, NLM_F_ACK, request);
    receive();
    fail(*reinterpret_cast<nlmsghdr*>(buffer_.data()));
  }

 private:
  ssize_t receive() {
    return check(::recv(socket_.get(), buffer_.data(), buffer_.size(), 0), "hear of", kWhat);
  }
  static void fail(const nlmsghdr& message) {
    int code = -static_cast<const nlmsgerr*>(NLMSG_DATA(&message))->error;
    if (code != 0 && code != ENOENT) throw sysError("reset", kWhat, code);  // gone by itself meanwhile
  }

  Fd socket_{::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), "ask for", kWhat};
  std::vector<char> buffer_ = std::vector<char>(64 * 1024);
};
}  // namespace

bool AddressOrder::operator()(const in6_addr& a, const in6_addr& b) const {
  return std::memcmp(&a, &b, sizeof a) < 0;
}

bool staysInside(const in6_addr& peer, const Addresses& own) {
  bool loopback = IN6_IS_ADDR_LOOPBACK(&peer) || (IN6_IS_ADDR_V4MAPPED(&peer) && peer.s6_addr[12] == 127);
  return loopback || own.contains(peer);
}

void resetOutsideConnections() {
  std::vector<Fd> namespaces = networkNamespaces();
  Addresses own;
  for (const Fd& ns : namespaces) {
    enter(ns);
    addAddresses(own);
  }
  for (const Fd& ns : namespaces) {
    enter(ns);
    SocketDiagnosis diagnosis;
    for (uint8_t family : {AF_INET, AF_INET6})
      for (const inet_diag_sockid& id : diagnosis.list(family, own)) diagnosis.destroy(family, id);
  }
}

}  // namespace cove::agent
