#include "rpc/channel.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/co.h"
#include "rpc/connection.h"
#include "rpc/scanner.h"
#include "rpc/target.capnp.h"

namespace cove {
namespace {

using Stream = kj::Own<kj::AsyncIoStream>;

class ChannelTest : public ::testing::Test {
 protected:
  ~ChannelTest() noexcept override {}
  ChannelTest() {
    auto pair = makeSocketPair(SOCK_STREAM);
    host = std::move(pair.first);
    agent = std::move(pair.second);
    setNonblocking(host);
    setNonblocking(agent);
  }
  kj::UnixEventPort& port() { return io.unixEventPort; }
  // Fails when it takes longer than recovery may.
  template <typename T>
  T soon(kj::Promise<T> promise, kj::Duration limit = 1 * kj::SECONDS) {
    return port().getTimer().timeoutAfter(limit, kj::mv(promise)).wait(io.waitScope);
  }
  std::pair<Stream, Stream> open(ChannelServer& server) {
    auto accepted = server.accept();
    auto ours = soon(openChannel(port(), host.duplicate()));
    return {kj::mv(ours), soon(kj::mv(accepted))};
  }
  void expectPasses(kj::AsyncIoStream& from, kj::AsyncIoStream& to, size_t size) {
    std::mt19937 random(static_cast<unsigned>(size));
    auto sent = kj::heapArray<kj::byte>(size);
    for (auto& each : sent) each = static_cast<kj::byte>(random());
    auto got = kj::heapArray<kj::byte>(size);
    auto writing = from.write(sent.begin(), sent.size()).eagerlyEvaluate(nullptr);
    ASSERT_EQ(soon(to.tryRead(got.begin(), size, size), 20 * kj::SECONDS), size);
    writing.wait(io.waitScope);
    ASSERT_EQ(std::memcmp(sent.begin(), got.begin(), size), 0);
  }
  bool ended(kj::AsyncIoStream& stream) {
    kj::byte byte;
    return soon(stream.tryRead(&byte, 1, 1)) == 0;
  }
  template <typename Bytes>
  static void put(const Fd& fd, const Bytes& bytes) {
    ASSERT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  kj::AsyncIoContext io = kj::setupAsyncIo();
  Fd host, agent;
};

TEST_F(ChannelTest, PassesBytesOfAnySizeBothWays) {
  ChannelServer server(port(), agent.duplicate());
  auto [ours, theirs] = open(server);
  for (size_t size :
       {size_t{1}, size_t{7}, size_t{4096}, kFramePayload, kFramePayload + 1, size_t{5'000'000}}) {
    expectPasses(*ours, *theirs, size);
    expectPasses(*theirs, *ours, size);
  }
}

TEST_F(ChannelTest, AHostWaitsForAnAgentThatComesLater) {
  auto opening = openChannel(port(), host.duplicate()).eagerlyEvaluate(nullptr);
  port().getTimer().afterDelay(200 * kj::MILLISECONDS).wait(io.waitScope);
  EXPECT_FALSE(opening.poll(io.waitScope));
  ChannelServer server(port(), agent.duplicate());
  auto theirs = soon(server.accept());
  auto ours = soon(kj::mv(opening), 100 * kj::MILLISECONDS);
  expectPasses(*ours, *theirs, 100'000);
}

// What follows the hello at once is of the new epoch, whatever the agent was in before.
TEST_F(ChannelTest, AHostThatKnowsThatItIsHeardDoesNotWait) {
  ChannelServer server(port(), agent.duplicate());
  { auto [ours, theirs] = open(server); }
  auto accepted = server.accept();
  auto ours = soon(openChannel(port(), host.duplicate(), Opening::kAtOnce));
  ours->write("first", 5).wait(io.waitScope);
  auto theirs = soon(kj::mv(accepted));
  char got[6] = {};
  EXPECT_EQ(soon(theirs->tryRead(got, 5, 5)), 5u);
  EXPECT_STREQ(got, "first");
  expectPasses(*ours, *theirs, 200'000);
  expectPasses(*theirs, *ours, 200'000);
}

// It sits in half a frame of the host before: no welcome comes, and the next opening gets it out of that.
TEST_F(ChannelTest, AHostThatIsNotHeardGetsOverIt) {
  ChannelServer server(port(), agent.duplicate());
  uint64_t nonce = freshNonce();
  auto accepted = server.accept();
  put(host, encodeRecord(Record::kHello, nonce));
  auto old = soon(kj::mv(accepted));
  put(host, encodeHeader(nonce, 60'000));
  std::vector<kj::byte> got(60'000);
  auto reading = old->tryRead(got.data(), got.size(), got.size()).eagerlyEvaluate(nullptr);
  auto ours = soon(openChannel(port(), host.duplicate(), Opening::kAtOnce));
  kj::byte byte;
  EXPECT_EQ(soon(ours->tryRead(&byte, 1, 1), 10 * kj::SECONDS), 0u);
  ours = nullptr;
  auto [next, theirs] = open(server);
  expectPasses(*next, *theirs, 100'000);
}

// A host that died leaves half a frame behind, cut at every place that differs.
TEST_F(ChannelTest, HalfAFrameOfADeadHostIsNeitherStuckInNorDelivered) {
  for (size_t cut : {size_t{1}, size_t{8}, size_t{15}, kFrameHeader, kFrameHeader + 1, kFrameHeader + 59'999,
                     kFrameHeader + 60'000, kFrameHeader + 60'003, kFrameHeader + 60'007}) {
    SCOPED_TRACE(cut);
    ChannelServer server(port(), agent.duplicate());
    uint64_t nonce = freshNonce();
    auto accepted = server.accept();
    put(host, encodeRecord(Record::kHello, nonce));
    auto old = soon(kj::mv(accepted));
    std::vector<std::byte> frame(kFrameHeader + 60'000 + kFrameTrailer, std::byte{'x'});
    std::memcpy(frame.data(), encodeHeader(nonce, 60'000).data(), kFrameHeader);
    std::memcpy(frame.data() + kFrameHeader + 60'000, encodeTrailer(nonce).data(), kFrameTrailer);
    put(host, std::span(frame).first(cut));
    std::vector<kj::byte> got(60'000);
    auto reading = old->tryRead(got.data(), got.size(), got.size()).eagerlyEvaluate(nullptr);
    auto started = port().getTimer().now();
    auto next = server.accept();
    auto ours = soon(openChannel(port(), host.duplicate()));
    auto theirs = soon(kj::mv(next));
    EXPECT_LT((port().getTimer().now() - started) / kj::MILLISECONDS, 100);
    EXPECT_EQ(soon(kj::mv(reading)), 0u);
    EXPECT_TRUE(ended(*old));
    expectPasses(*ours, *theirs, 200'000);
    expectPasses(*theirs, *ours, 200'000);
  }
}

TEST_F(ChannelTest, AHostGetsOverWhatADeadHostDidNotRead) {
  ChannelServer server(port(), agent.duplicate());
  auto accepted = server.accept();
  put(host, encodeRecord(Record::kHello, freshNonce()));
  auto old = soon(kj::mv(accepted));
  auto stale = kj::heapArray<kj::byte>(10'000'000);
  auto writing = old->write(stale.begin(), stale.size()).eagerlyEvaluate(nullptr);
  EXPECT_FALSE(writing.poll(io.waitScope));  // stuck in the middle of a frame
  auto started = port().getTimer().now();
  auto next = server.accept();
  auto ours = soon(openChannel(port(), host.duplicate()));
  auto theirs = soon(kj::mv(next));
  EXPECT_LT((port().getTimer().now() - started) / kj::MILLISECONDS, 100);
  EXPECT_THROW(writing.wait(io.waitScope), kj::Exception);
  expectPasses(*theirs, *ours, 300'000);
  expectPasses(*ours, *theirs, 300'000);
}

TEST_F(ChannelTest, ARestartedAgentEndsTheHostsStreamEvenInHalfAFrame) {
  for (size_t size : {size_t{0}, size_t{100}, size_t{5'000'000}}) {
    SCOPED_TRACE(size);
    auto server = std::make_unique<ChannelServer>(port(), agent.duplicate());
    auto [ours, theirs] = open(*server);
    auto data = kj::heapArray<kj::byte>(5'000'000);
    auto writing = theirs->write(data.begin(), size).eagerlyEvaluate(nullptr);
    writing.poll(io.waitScope);
    writing = nullptr;  // the agent is killed here
    theirs = nullptr;
    server = nullptr;
    server = std::make_unique<ChannelServer>(port(), agent.duplicate());
    std::vector<kj::byte> got(6'000'000);
    EXPECT_LT(soon(ours->tryRead(got.data(), got.size(), got.size())), got.size());
    EXPECT_TRUE(ended(*ours));
    ours = nullptr;
    auto [again, there] = open(*server);
    expectPasses(*again, *there, 100'000);
  }
}

TEST_F(ChannelTest, AStreamThatTheAgentDropsEndsAtTheHost) {
  ChannelServer server(port(), agent.duplicate());
  auto [ours, theirs] = open(server);
  theirs = nullptr;
  EXPECT_TRUE(ended(*ours));
}

TEST_F(ChannelTest, GarbageEndsAnEpochAndTheNextOneWorks) {
  std::mt19937 random(7);
  ChannelServer server(port(), agent.duplicate());
  for (int round = 0; round < 20; ++round) {
    auto [ours, theirs] = open(server);
    std::vector<std::byte> garbage(1 + random() % 50'000);
    for (auto& each : garbage) each = static_cast<std::byte>(1 + random() % 255);
    put(round % 2 == 0 ? host : agent, garbage);
    EXPECT_TRUE(ended(*(round % 2 == 0 ? theirs : ours)));
  }
}

TEST_F(ChannelTest, AFloodDoesNotKeepOthersFromTheirTurn) {
  auto opening = openChannel(port(), host.duplicate()).eagerlyEvaluate(nullptr);
  std::vector<std::byte> garbage(64 * 1024, std::byte{'c'});
  size_t flooded = 0;
  for (int turn = 0; turn < 50; ++turn) {
    for (ssize_t n; (n = ::write(agent.get(), garbage.data(), garbage.size())) > 0;) flooded += n;
    soon(port().getTimer().afterDelay(1 * kj::MILLISECONDS));
    EXPECT_FALSE(opening.poll(io.waitScope));
  }
  EXPECT_GT(flooded, 1'000'000u);
  std::vector<std::byte> drained(1 << 20);
  while (::read(agent.get(), drained.data(), drained.size()) > 0) {
  }
  ChannelServer server(port(), agent.duplicate());
  auto theirs = soon(server.accept());
  auto ours = soon(kj::mv(opening));
  expectPasses(*theirs, *ours, 100'000);
}

TEST_F(ChannelTest, AClosedSocketEndsBothOpeningAndStream) {
  auto opening = openChannel(port(), host.duplicate());
  agent.reset();
  EXPECT_THROW(soon(kj::mv(opening)), kj::Exception);
}

struct EchoTarget final : rpc::Target::Server {
  kj::Promise<void> stat(StatContext context) override {
    context.getResults().initInfo().setName(context.getParams().getPath());
    return kj::READY_NOW;
  }
};

TEST_F(ChannelTest, CarriesRpcWhoseEndIsADisconnect) {
  ChannelServer server(port(), agent.duplicate());
  auto [ours, theirs] = open(server);
  Connection client(kj::mv(ours), Side::kClient);
  auto serving = kj::heap<Connection>(kj::mv(theirs), Side::kServer, kj::heap<EchoTarget>());
  auto target = client.bootstrap<rpc::Target>();
  for (int i = 0; i < 100; ++i) {
    auto request = target.statRequest();
    request.setPath(kj::str("p", i));
    auto response = soon(kj::Promise<capnp::Response<rpc::Target::StatResults>>(request.send()));
    ASSERT_EQ(response.getInfo().getName(), kj::str("p", i));
  }
  serving = nullptr;
  soon(client.onDisconnect());
}

}  // namespace
}  // namespace cove
