#include "machine/network_filter.h"

#include <algorithm>
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "machine/network_refusal.h"

namespace cove::network {
namespace {

using Frame = std::vector<uint8_t>;

const IsLocal kNothingLocal = [](std::span<const uint8_t>) { return false; };

void append(Frame& frame, std::initializer_list<int> bytes) {
  for (int byte : bytes) frame.push_back(static_cast<uint8_t>(byte));
}

void appendAddress(Frame& frame, const std::string& text) {
  uint8_t address[16];
  bool six = text.find(':') != std::string::npos;
  ASSERT_EQ(::inet_pton(six ? AF_INET6 : AF_INET, text.c_str(), address), 1) << text;
  frame.insert(frame.end(), address, address + (six ? 16 : 4));
}

constexpr int kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58;

// 20 bytes that are a header of the protocol; ICMP: `port` is the type.
void appendPayload(Frame& frame, int protocol, int port) {
  if (protocol == kIcmp || protocol == kIcmp6)
    append(frame, {port, 0, 0, 0});
  else
    append(frame, {0x80, 0, port >> 8, port & 255});
  frame.resize(frame.size() + 16);
}

Frame packet(const std::string& from, const std::string& to, int protocol, int port) {
  Frame frame(12);
  if (to.find(':') == std::string::npos) {
    append(frame, {8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, protocol, 0, 0});
  } else {
    append(frame, {0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, protocol, 255});
  }
  appendAddress(frame, from);
  appendAddress(frame, to);
  appendPayload(frame, protocol, port);
  return frame;
}

Frame fromGuest(const std::string& to, int protocol = kTcp, int port = 80) {
  return packet(to.find(':') == std::string::npos ? "10.0.2.15" : "fec0::15", to, protocol, port);
}

bool passes(const Frame& frame, const IsLocal& isLocal = kNothingLocal) {
  Verdict verdict = judge(frame, isLocal);
  return verdict == Verdict::kPass || verdict == Verdict::kPassToNameServer;
}

TEST(NetworkFilter, PassesTheInternet) {
  for (const char* to :
       {"1.1.1.1", "192.168.1.1", "172.17.0.2", "10.0.3.1", "100.100.100.201", "223.255.255.255",
        "2606:4700::1", "fd12::1", "64:ff9b::101:101", "2002:101:101::1", "3fff::1"})
    for (int protocol : {kTcp, kUdp})
      EXPECT_EQ(judge(fromGuest(to, protocol, 443), kNothingLocal), Verdict::kPass) << to;
}

TEST(NetworkFilter, RefusesByAddress) {
  for (const char* to :
       {"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "169.254.169.254", "169.254.0.1", "224.0.0.1",
        "239.255.255.250", "240.0.0.1", "255.255.255.255", "100.100.100.200", "168.63.129.16", "192.0.0.192",
        "10.0.2.2", "10.0.2.4", "10.0.2.15", "10.0.2.77", "10.0.2.255", "10.0.2.0",
        // IPv6: itself, link-local, site-local, multicast, metadata
        "::", "::1", "fe80::1", "febf::1", "fec0::2", "fec0::4", "fec1::1", "ff02::1", "ff0e::1",
        "fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "100::1", "4000::1",
        // IPv4 in IPv6: mapped, compatible, translated, NAT64 (well-known and local), 6to4, Teredo, ISATAP
        "::ffff:1.1.1.1", "::ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254", "64:ff9b:1::1.1.1.1", "2002:7f00:1::1", "2002:a9fe:a9fe::1",
        "2001:0:7f00:1::1", "2001:0:101:101:0:0:80ff:fffe", "2001:db8::5efe:127.0.0.1",
        "2001:db8::200:5efe:169.254.169.254", "fd12::5efe:10.0.0.1"}) {
    // The last one is refused only where the host says that 10.0.0.1 is its own.
    IsLocal isLocal = [](std::span<const uint8_t> a) { return a.size() == 4 && a[0] == 10; };
    for (int protocol : {kTcp, kUdp}) EXPECT_FALSE(passes(fromGuest(to, protocol), isLocal)) << to;
  }
}

TEST(NetworkFilter, RefusesWhatIsLocal) {
  IsLocal isLocal = [](std::span<const uint8_t> a) { return a.back() == 9; };
  EXPECT_FALSE(passes(fromGuest("192.168.1.9"), isLocal));
  EXPECT_TRUE(passes(fromGuest("192.168.1.8"), isLocal));
  EXPECT_FALSE(passes(fromGuest("2606::9"), isLocal));
  EXPECT_FALSE(passes(fromGuest("64:ff9b::1.1.1.9"), isLocal));
  EXPECT_TRUE(passes(fromGuest("2606::8"), isLocal));
}

TEST(NetworkFilter, TellsTheGuestWhatItRefused) {
  // The one's complement sum of a correct message is all ones.
  auto sumOf = [](const Frame& frame, size_t from, size_t to, uint32_t sum = 0) {
    for (size_t i = from; i < to; i += 2) sum += uint32_t{frame[i]} << 8 | frame[i + 1];
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
  };
  Frame from = {2, 1, 2, 3, 4, 5};
  for (const char* to : {"127.0.0.1", "169.254.169.254", "10.0.2.2", "10.0.2.3", "0.0.0.0"}) {
    Frame sent = fromGuest(to);
    std::copy(from.begin(), from.end(), sent.begin() + 6);
    ASSERT_EQ(judge(sent, kNothingLocal), Verdict::kRefuse) << to;
    Frame told = refusalOf(sent);
    ASSERT_EQ(told.size(), 14U + 20 + 8 + 28);
    EXPECT_TRUE(std::equal(from.begin(), from.end(), told.begin()));
    EXPECT_EQ(sumOf(told, 14, 34), 0xffffU);
    EXPECT_EQ(sumOf(told, 34, told.size()), 0xffffU);
    EXPECT_TRUE(std::equal(told.begin() + 26, told.begin() + 30, kGateway.begin()));
    EXPECT_TRUE(std::equal(told.begin() + 30, told.begin() + 34, sent.begin() + 26));
    EXPECT_TRUE(std::equal(told.begin() + 42, told.end(), sent.begin() + 14));
    EXPECT_EQ(told[34] << 8 | told[35], 3 << 8 | 13);
  }
  for (const char* to : {"::1", "fd00:ec2::254", "fec0::2", "fe80::1"}) {
    Frame sent = fromGuest(to, kUdp);
    ASSERT_EQ(judge(sent, kNothingLocal), Verdict::kRefuse) << to;
    Frame told = refusalOf(sent);
    ASSERT_EQ(told.size(), 14U + 40 + 8 + 48);
    EXPECT_EQ(sumOf(told, 22, told.size(), 56 + 58), 0xffffU);
    EXPECT_TRUE(std::equal(told.begin() + 38, told.begin() + 54, sent.begin() + 22));
    EXPECT_TRUE(std::equal(told.begin() + 62, told.end(), sent.begin() + 14));
    EXPECT_EQ(told[54] << 8 | told[55], 1 << 8 | 1);
  }
  // Nobody is told of what many were asked, or of what was not understood.
  for (const char* to : {"224.0.0.251", "255.255.255.255", "10.0.2.255", "ff02::fb"})
    EXPECT_EQ(judge(fromGuest(to, kUdp, 5353), kNothingLocal), Verdict::kDrop) << to;
  EXPECT_EQ(judge(fromGuest("127.0.0.1", kIcmp, 8), kNothingLocal), Verdict::kDrop);
  EXPECT_EQ(judge(packet("127.0.0.1", "169.254.169.254", kTcp, 80), kNothingLocal), Verdict::kDrop);
}

TEST(NetworkFilter, NameServerIsPort53Only) {
  for (const char* server : {"10.0.2.3", "fec0::3"})
    for (int protocol : {kTcp, kUdp}) {
      EXPECT_EQ(judge(fromGuest(server, protocol, 53), kNothingLocal), Verdict::kPassToNameServer);
      for (int port : {0, 22, 52, 54, 67, 69, 80, 53 << 8})
        EXPECT_FALSE(passes(fromGuest(server, protocol, port & 0xffff))) << server << " " << port;
    }
  EXPECT_FALSE(passes(fromGuest("10.0.2.3", kIcmp, 8)));
}

TEST(NetworkFilter, GatewayIsDhcpAndEcho) {
  EXPECT_TRUE(passes(packet("0.0.0.0", "255.255.255.255", kUdp, 67)));
  EXPECT_TRUE(passes(fromGuest("10.0.2.2", kUdp, 67)));
  EXPECT_TRUE(passes(fromGuest("10.0.2.2", kIcmp, 8)));
  EXPECT_TRUE(passes(fromGuest("fec0::2", kIcmp6, 128)));
  EXPECT_TRUE(passes(packet("fe80::15", "ff02::1:2", kUdp, 547)));
  EXPECT_FALSE(passes(packet("0.0.0.0", "255.255.255.255", kTcp, 67)));
  EXPECT_FALSE(passes(packet("0.0.0.0", "255.255.255.255", kUdp, 69)));
  EXPECT_FALSE(passes(fromGuest("10.0.2.2", kUdp, 69)));
  EXPECT_FALSE(passes(fromGuest("10.0.2.2", kIcmp, 3)));
  EXPECT_FALSE(passes(fromGuest("fec0::2", kUdp, 69)));
  EXPECT_FALSE(passes(fromGuest("1.1.1.1", kIcmp, 8))) << "libslirp would fall back to UDP port 7";
}

TEST(NetworkFilter, NeighbourDiscoveryStaysOnTheLink) {
  for (int type : {133, 135, 136}) {
    EXPECT_TRUE(passes(packet("fe80::15", "ff02::2", kIcmp6, type)));
    EXPECT_TRUE(passes(packet("::", "ff02::1:ff00:15", kIcmp6, type)));
    EXPECT_FALSE(passes(packet("fe80::15", "2606::1", kIcmp6, type)));
    EXPECT_FALSE(passes(packet("fe80::15", "ff05::2", kIcmp6, type)));
    Frame near = packet("fe80::15", "ff02::2", kIcmp6, type);
    near[14 + 7] = 254;
    EXPECT_FALSE(passes(near)) << "came over a router";
  }
  EXPECT_FALSE(passes(packet("fe80::15", "ff02::1", kIcmp6, 134))) << "the guest is no router";
  EXPECT_FALSE(passes(packet("fe80::15", "ff02::1", kIcmp6, 137)));
}

TEST(NetworkFilter, RefusesForeignSources) {
  for (const char* from :
       {"0.0.0.0", "0.0.0.1", "10.0.2.2", "10.0.2.3", "10.0.2.255", "127.0.0.1", "1.1.1.2"})
    EXPECT_FALSE(passes(packet(from, "1.1.1.1", kTcp, 80))) << from;
  for (const char* from : {"::", "::1", "fec0::2", "fec0::3", "2606::2", "::ffff:10.0.2.15"})
    EXPECT_FALSE(passes(packet(from, "2606::1", kTcp, 80))) << from;
}

TEST(NetworkFilter, RefusesWhatHidesTheDestination) {
  auto changed = [](Frame frame, size_t at, int value) {
    frame[14 + at] = static_cast<uint8_t>(value);
    return frame;
  };
  Frame four = fromGuest("1.1.1.1"), six = fromGuest("2606::1");
  EXPECT_FALSE(passes(changed(four, 0, 0x46))) << "options";
  EXPECT_FALSE(passes(changed(four, 0, 0x65)));
  EXPECT_FALSE(passes(changed(four, 6, 0x20))) << "more fragments";
  EXPECT_FALSE(passes(changed(four, 7, 1))) << "a later fragment";
  EXPECT_FALSE(passes(changed(four, 6, 0x80)));
  EXPECT_FALSE(passes(changed(four, 3, 41))) << "longer than the frame";
  EXPECT_FALSE(passes(changed(four, 3, 19)));
  EXPECT_FALSE(passes(changed(four, 3, 39))) << "half a TCP header";
  for (int protocol : {0, 2, 4, 41, 43, 47, 50, 132, 255}) EXPECT_FALSE(passes(changed(four, 9, protocol)));
  // Hop-by-hop, routing, fragment, ESP, AH, destination options, IPv4 and IPv6 inside.
  for (int header : {0, 4, 41, 43, 44, 50, 51, 60, 135, 255}) EXPECT_FALSE(passes(changed(six, 6, header)));
  EXPECT_FALSE(passes(changed(six, 5, 21)));
  EXPECT_FALSE(passes(changed(six, 0, 0x40)));
  for (int type : {0x8100, 0x88a8, 0x88f8, 0x0842, 0x8863, 40}) {
    Frame tagged = four;
    tagged[12] = static_cast<uint8_t>(type >> 8);
    tagged[13] = static_cast<uint8_t>(type);
    EXPECT_FALSE(passes(tagged)) << type;
  }
}

TEST(NetworkFilter, EveryCutIsSafeAndRefused) {
  for (const Frame& frame : {fromGuest("1.1.1.1"), fromGuest("2606::1"), fromGuest("10.0.2.3", kUdp, 53)})
    for (size_t length = 0; length < frame.size(); ++length)
      EXPECT_FALSE(passes(Frame(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(length)))) << length;
  Frame long4 = fromGuest("1.1.1.1");
  long4.resize(kMaxFrame);
  EXPECT_TRUE(passes(long4)) << "padding";
  long4.resize(kMaxFrame + 1);
  EXPECT_FALSE(passes(long4));
}

TEST(NetworkFilter, Arp) {
  auto arp = [](const std::string& sender) {
    Frame frame(12);
    append(frame, {8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1});
    appendAddress(frame, sender);
    frame.resize(42);
    return frame;
  };
  EXPECT_TRUE(passes(arp("10.0.2.15")));
  EXPECT_TRUE(passes(arp("0.0.0.0"))) << "a probe (RFC 5227)";
  for (const char* sender : {"10.0.2.2", "10.0.2.3", "10.0.2.255", "0.0.0.1", "127.0.0.1", "8.8.8.8"})
    EXPECT_FALSE(passes(arp(sender))) << sender;
  Frame cut = arp("10.0.2.15");
  cut.pop_back();
  EXPECT_FALSE(passes(cut));
  Frame sized = arp("10.0.2.15");
  sized[14 + 5] = 16;
  EXPECT_FALSE(passes(sized));
}

}  // namespace
}  // namespace cove::network
