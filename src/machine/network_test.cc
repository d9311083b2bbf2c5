#include "machine/network.h"

#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <tuple>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "machine/network_lab.h"

namespace cove::network {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

std::vector<Place> everyWay(const std::vector<std::string>& addresses, std::vector<int> ports = {22, 80}) {
  std::vector<Place> places;
  for (const std::string& address : addresses)
    for (int port : ports)
      for (bool udp : {false, true}) places.push_back({address, port, udp});
  return places;
}

class Network : public testing::Test {
 protected:
  void SetUp() override {
#ifdef COVE_SANITIZED
    GTEST_SKIP() << "a sanitizer does not fit the network process's limits and list of system calls";
#endif
    if (::geteuid() != 0) GTEST_SKIP() << "network namespaces and a tap device need root";
    lab_.emplace();
    lab_->startGuest();
  }
  std::optional<Lab> lab_;
};

TEST_F(Network, ReachesTheInternet) {
  EXPECT_THAT(lab_->reached(lab_->guest(),
                            everyWay({"198.51.100.7", "2001:db8:7::7", "203.0.113.1", "64:ff9b::c633:6407"})),
              SizeIs(16));
}

TEST_F(Network, DoesNotReachTheHost) {
  std::vector<Place> places = everyWay({"127.0.0.1", "127.0.0.53", "203.0.113.2", "169.254.1.1", "10.0.2.77",
                                        "192.0.2.99", "2001:db8::2", "2001:db8:99::5", "fd00:77::2"});
  EXPECT_THAT(lab_->reached(lab_->host(), places), SizeIs(places.size())) << "they are there";
  for (const Place& alias : everyWay({"10.0.2.2", "10.0.2.3", "fec0::2", "fec0::3", "10.0.2.4", "::1"}))
    places.push_back(alias);
  EXPECT_THAT(lab_->reached(lab_->guest(), places), IsEmpty());
}

TEST_F(Network, DoesNotReachMetadata) {
  std::vector<Place> places =
      everyWay({"169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "64:ff9b::a9fe:a9fe",
                "2002:7f00:1::1", "2001:db8:7::5efe:7f00:1"});
  EXPECT_THAT(lab_->reached(lab_->host(), places), SizeIs(places.size())) << "they are there";
  EXPECT_THAT(lab_->reached(lab_->guest(), places), IsEmpty());
}

TEST_F(Network, WhatIsRefusedFailsAtOnce) {
  // 124: timeout(1) had to end it.
  for (const char* address : {"10.0.2.2", "127.0.0.1", "203.0.113.2", "169.254.169.254", "fec0::2",
                              "2001:db8::2", "fd00:ec2::254", "::1"})
    EXPECT_NO_THROW(lab_->guestRun(
        str("s=0; timeout 2 bash -c 'exec 3<>/dev/tcp/", address, "/22' 2>/dev/null || s=$?; test $s = 1")))
        << address;
}

TEST_F(Network, DoesNotReachAddressesThatTheHostGetsLater) {
  std::vector<Place> places = everyWay({"198.51.100.7", "2001:db8:7::7"});
  EXPECT_THAT(lab_->reached(lab_->guest(), places), Contains("198.51.100.7 tcp 22: internet"));
  lab_->hostRun("ip addr add 198.51.100.7/32 dev lo; ip addr add 2001:db8:7::7/128 dev lo nodad");
  EXPECT_THAT(lab_->reached(lab_->host(), places), Contains("198.51.100.7 tcp 22: host"));
  EXPECT_THAT(lab_->reached(lab_->guest(), places), IsEmpty());
  lab_->hostRun("ip addr del 198.51.100.7/32 dev lo; ip addr del 2001:db8:7::7/128 dev lo");
  EXPECT_THAT(lab_->reached(lab_->guest(), places), SizeIs(places.size()));
}

TEST_F(Network, NameServerFollowsTheHost) {
  std::vector<Place> dns = everyWay({"10.0.2.3"}, {53});
  auto answersFrom = [&](const std::string& who) {
    return UnorderedElementsAre("10.0.2.3 tcp 53: " + who, "10.0.2.3 udp 53: " + who);
  };
  EXPECT_THAT(lab_->reached(lab_->guest(), dns), answersFrom("resolver"));

  // Renamed over, as many programs do it; then a link to a directory of somebody else's, as systemd-resolved.
  capture({"sh", "-c", "echo nameserver 198.51.100.7 >/etc/n && mv /etc/n /etc/resolv.conf; sleep 1.1"});
  EXPECT_THAT(lab_->reached(lab_->guest(), dns), answersFrom("internet"));
  lab_->serve(lab_->host(), "other", "127.0.0.54", {53});
  capture(
      {"sh", "-c",
       "mkdir /etc/r && echo nameserver 127.0.0.54 >/etc/r/resolv && ln -sf /etc/r/resolv /etc/resolv.conf;"
       "sleep 1.1"});
  EXPECT_THAT(lab_->reached(lab_->guest(), dns), answersFrom("other"));
}

// As a host has it that learned its name server from its router.
TEST_F(Network, NameServerMayBeLinkLocal) {
  capture({"sh", "-c", "echo nameserver fe80::53%h0 >/etc/resolv.conf; sleep 1.1"});
  EXPECT_THAT(lab_->reached(lab_->guest(), everyWay({"fec0::3"}, {53})),
              UnorderedElementsAre("fec0::3 tcp 53: internet", "fec0::3 udp 53: internet"));
  // The guest's first choice says at once that it has no IPv4 address to ask, to who looks (IP_RECVERR) as
  // libc does.
  lab_->guestRun(
      "python3 -c 'import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.setsockopt(0, 11, 1); "
      "s.settimeout(2)\n"
      "s.connect((\"10.0.2.3\", 53)); s.send(b\"?\")\n"
      "try: s.recv(9)\n"
      "except TimeoutError: raise\n"
      "except OSError as e: assert e.errno == 101, e'");
}

TEST_F(Network, RouterAndDhcpAnswer) {
  lab_->guestRun(
      "sysctl -qw net.ipv6.conf.eth0.accept_ra=1; ip link set eth0 down; ip link set eth0 up; sleep 3;"
      "ip -6 route | grep -q 'default.*proto ra'; ip -6 addr show dev eth0 | grep -q 'fec0::.*dynamic'");
}

TEST(NetworkProcess, EndsWithItsParent) {
#ifdef COVE_SANITIZED
  GTEST_SKIP() << "a sanitizer does not fit the network process's limits and list of system calls";
#endif
  Fd ours, theirs;
  std::tie(ours, theirs) = makeSocketPair(SOCK_DGRAM);
  Pipe started = makePipe();
  Child parent = Child::fork([&]() -> int {
    ours.reset();
    Child child = startNetwork(std::move(theirs), {COVE_NETWORK_PROGRAM});
    writeAll(started.write, "!", "a pipe");
    ::pause();
    return 0;
  });
  theirs.reset();
  started.write.reset();
  char mark;
  ASSERT_EQ(::read(started.read.get(), &mark, 1), 1);
  EXPECT_EQ(::send(ours.get(), "x", 1, MSG_NOSIGNAL), 1);
  parent.signal(SIGKILL);
  parent.wait();
  // Nobody holds the other end any more: not the inner process either.
  for (int i = 0; i < 100 && ::send(ours.get(), "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1; ++i)
    ::usleep(10'000);
  EXPECT_EQ(::send(ours.get(), "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT), -1);
}

TEST(NetworkProcess, SaysWhyNot) {
  auto [ours, theirs] = makeSocketPair(SOCK_DGRAM);
  EXPECT_THROW(startNetwork(std::move(theirs), {"/bin/false"}), Error);
}

}  // namespace
}  // namespace cove::network
