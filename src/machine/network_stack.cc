#include "machine/network_stack.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <list>
#include <poll.h>
#include <slirp/libslirp.h>
#include <sys/socket.h>
#include <vector>

#include "base/error.h"
#include "machine/network_filter.h"
#include "machine/network_outbox.h"
#include "machine/network_refusal.h"

namespace cove::network {

namespace {

constexpr size_t kBatch = 32;           // frames received by one system call
constexpr int kBatchesPerWakeUp = 8;    // then the host's sockets get their turn
constexpr uint32_t kNothingDue = 1000;  // what slirp_pollfds_fill() asks for when no timer of TCP or UDP runs

int64_t nowNanoseconds() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}
int64_t nowMilliseconds() { return nowNanoseconds() / 1'000'000; }

struct Timer {
  SlirpTimerCb callback;
  void* argument;
  int64_t due = INT64_MAX;  // milliseconds
};

in_addr toSystem(const V4& address) {
  in_addr result;
  std::memcpy(&result, address.data(), sizeof result);
  return result;
}
in6_addr toSystem(const V6& address) {
  in6_addr result;
  std::memcpy(&result, address.data(), sizeof result);
  return result;
}

SlirpConfig configuration() {
  SlirpConfig c{};
  c.version = 4;
  c.in_enabled = true;
  c.vnetwork = toSystem(V4{10, 0, 2, 0});
  c.vnetmask = toSystem(V4{255, 255, 255, 0});
  c.vhost = toSystem(kGateway);
  c.vnameserver = toSystem(kNameServer);
  c.vdhcp_start = toSystem(kFirstGuest);
  c.in6_enabled = true;
  c.vprefix_addr6 = toSystem(kPrefix6);
  c.vprefix_len = 64;
  c.vhost6 = toSystem(kGateway6);
  c.vnameserver6 = toSystem(kNameServer6);
  c.if_mtu = kMtu;
  c.if_mru = kMtu;
  c.disable_host_loopback = true;
  return c;
}

short toPoll(int events) {
  short result = 0;
  if ((events & SLIRP_POLL_IN) != 0) result |= POLLIN;
  if ((events & SLIRP_POLL_OUT) != 0) result |= POLLOUT;
  if ((events & SLIRP_POLL_PRI) != 0) result |= POLLPRI;
  return result;  // POLLERR and POLLHUP are always reported
}
int fromPoll(short events) {
  int result = 0;
  if ((events & POLLIN) != 0) result |= SLIRP_POLL_IN;
  if ((events & POLLOUT) != 0) result |= SLIRP_POLL_OUT;
  if ((events & POLLPRI) != 0) result |= SLIRP_POLL_PRI;
  if ((events & POLLERR) != 0) result |= SLIRP_POLL_ERR;
  if ((events & POLLHUP) != 0) result |= SLIRP_POLL_HUP;
  return result;
}

}  // namespace

struct Stack::Impl {
  Impl(Fd f, HostRoutes r, ResolverCopy c);
  ~Impl() { ::slirp_cleanup(slirp); }

  void run();
  int waitTime(uint32_t asked) const;
  int addPoll(int fd, int events);
  void runTimers();
  void takeFrames();
  void takeFrame(std::span<const uint8_t> frame);

  Fd frames;
  HostRoutes routes;
  ResolverCopy resolver;
  IsLocal isLocal = [this](std::span<const uint8_t> address) { return routes.isLocal(address); };
  Outbox outbox{frames};
  std::list<Timer> timers;
  std::vector<pollfd> polled;
  std::array<std::array<uint8_t, kMaxFrame + 1>, kBatch> buffers;
  SlirpCb callbacks{};
  Slirp* slirp = nullptr;
};

Stack::Impl::Impl(Fd f, HostRoutes r, ResolverCopy c)
    : frames(std::move(f)), routes(std::move(r)), resolver(std::move(c)) {
  callbacks.send_packet = [](const void* data, size_t size, void* opaque) -> ssize_t {
    static_cast<Impl*>(opaque)->outbox.send({static_cast<const uint8_t*>(data), size});
    return static_cast<ssize_t>(size);
  };
  callbacks.guest_error = [](const char*, void*) {};  // a guest must not fill a log
  callbacks.clock_get_ns = [](void*) { return nowNanoseconds(); };
  callbacks.timer_new = [](SlirpTimerCb callback, void* argument, void* opaque) -> void* {
    return &static_cast<Impl*>(opaque)->timers.emplace_back(Timer{callback, argument});
  };
  callbacks.timer_free = [](void* timer, void* opaque) {
    static_cast<Impl*>(opaque)->timers.remove_if([&](const Timer& t) { return &t == timer; });
  };
  callbacks.timer_mod = [](void* timer, int64_t due, void*) { static_cast<Timer*>(timer)->due = due; };
  callbacks.register_poll_fd = [](int, void*) {};
  callbacks.unregister_poll_fd = [](int, void*) {};
  callbacks.notify = [](void*) {};  // we are the only thread, and fill again before we sleep
  SlirpConfig config = configuration();
  slirp = ::slirp_new(&config, &callbacks, this);
  if (slirp == nullptr) throw Error("cannot start the guest's network: libslirp refused its configuration");
}

void Stack::Impl::run() {
  while (!outbox.closed()) {
    polled.clear();
    polled.push_back({frames.get(), static_cast<short>(outbox.waiting() ? POLLIN | POLLOUT : POLLIN), 0});
    uint32_t timeout = UINT32_MAX;
    ::slirp_pollfds_fill(
        slirp, &timeout,
        [](int fd, int events, void* opaque) { return static_cast<Impl*>(opaque)->addPoll(fd, events); },
        this);
    int ready = ::poll(polled.data(), polled.size(), waitTime(timeout));
    if (ready < 0 && errno != EINTR) throw sysError("wait for", "the guest's network");
    if (ready < 0)
      for (pollfd& p : polled) p.revents = 0;
    // First, because it also sets the clock by which the frames are handled.
    ::slirp_pollfds_poll(
        slirp, ready < 0,
        [](int index, void* opaque) {
          return fromPoll(static_cast<Impl*>(opaque)->polled[static_cast<size_t>(index)].revents);
        },
        this);
    runTimers();
    if ((polled[0].revents & POLLOUT) != 0) outbox.flush();
    if ((polled[0].revents & (POLLIN | POLLERR)) != 0) takeFrames();
  }
}

int Stack::Impl::waitTime(uint32_t asked) const {
  int64_t wait = asked >= kNothingDue ? INT64_MAX : asked;
  int64_t now = nowMilliseconds();
  for (const Timer& timer : timers)
    if (timer.due != INT64_MAX) wait = std::min(wait, std::max<int64_t>(timer.due - now, 0));
  return wait == INT64_MAX ? -1 : static_cast<int>(std::min<int64_t>(wait, INT32_MAX));
}

int Stack::Impl::addPoll(int fd, int events) {
  // What cannot be delivered is not read; POLLHUP of such a socket would only turn us in circles.
  if (outbox.congested()) events &= ~(SLIRP_POLL_IN | SLIRP_POLL_PRI);
  if (toPoll(events) == 0) return -1;
  polled.push_back({fd, toPoll(events), 0});
  return static_cast<int>(polled.size()) - 1;
}

void Stack::Impl::runTimers() {
  int64_t now = nowMilliseconds();
  for (Timer& timer : timers) {
    if (timer.due > now) continue;
    timer.due = INT64_MAX;
    timer.callback(timer.argument);
  }
}

void Stack::Impl::takeFrames() {
  routes.catchUp();
  std::array<iovec, kBatch> parts;
  std::array<mmsghdr, kBatch> messages{};
  for (size_t i = 0; i < kBatch; ++i) {
    parts[i] = {buffers[i].data(), buffers[i].size()};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  for (int batch = 0; batch < kBatchesPerWakeUp; ++batch) {
    int count = ::recvmmsg(frames.get(), messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < count; ++i) {
      auto index = static_cast<size_t>(i);
      takeFrame({buffers[index].data(), messages[index].msg_len});
    }
    if (count < static_cast<int>(kBatch)) return;
  }
}

void Stack::Impl::takeFrame(std::span<const uint8_t> frame) {
  Verdict verdict = judge(frame, isLocal);
  if (verdict == Verdict::kDrop) return;
  if (verdict == Verdict::kRefuse) return outbox.send(refusalOf(frame));
  if (verdict == Verdict::kPassToNameServer) resolver.refresh();
  ::slirp_input(slirp, frame.data(), static_cast<int>(frame.size()));
}

Stack::Stack(Fd frames, HostRoutes routes, ResolverCopy resolver)
    : impl_(std::make_unique<Impl>(std::move(frames), std::move(routes), std::move(resolver))) {}
Stack::~Stack() = default;
void Stack::run() { impl_->run(); }

}  // namespace cove::network
