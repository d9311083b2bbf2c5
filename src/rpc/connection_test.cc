#include "rpc/connection.h"

#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "rpc/co.h"
#include "rpc/vm.capnp.h"

namespace cove {
namespace {

struct SocketServer final : rpc::Socket::Server {
  Fd fd_;
  explicit SocketServer(Fd fd) : fd_(std::move(fd)) {}
  kj::Maybe<int> getFd() override { return fd_.get(); }
};

struct SupervisorServer final : rpc::Supervisor::Server {
  Fd given;
  kj::Promise<void> introduce(IntroduceContext context) override {
    auto [ours, theirs] = makeSocketPair(SOCK_STREAM);
    given = std::move(ours);
    context.getResults().setSocket(kj::heap<SocketServer>(std::move(theirs)));
    return kj::READY_NOW;
  }
  kj::Promise<void> stop(StopContext) override { return refuse(); }
  co::Co<void> refuse() {
    throw Error("cannot stop it").hint("wait").status(Exit::kRefused);
    co_return;
  }
};

TEST(Connection, PassesDescriptorsAndErrors) {
  auto io = kj::setupAsyncIo();
  auto [a, b] = makeSocketPair(SOCK_STREAM);
  auto server = kj::heap<SupervisorServer>();
  SupervisorServer& seen = *server;
  Connection serving(*io.lowLevelProvider, std::move(a), Side::kServer, kj::mv(server));
  Connection calling(*io.lowLevelProvider, std::move(b), Side::kClient);
  auto client = calling.bootstrap<rpc::Supervisor>();
  auto socket = client.introduceRequest().send().wait(io.waitScope).getSocket();
  auto fd = socket.getFd().wait(io.waitScope);
  int number = -1;
  KJ_IF_MAYBE (n, fd) number = *n;
  ASSERT_GE(number, 0);
  ASSERT_EQ(::write(number, "x", 1), 1);
  char c = 0;
  ASSERT_EQ(::read(seen.given.get(), &c, 1), 1);
  EXPECT_EQ(c, 'x');
  try {
    client.stopRequest().send().ignoreResult().wait(io.waitScope);
    FAIL();
  } catch (const kj::Exception& e) {
    Error error = fromKj(e);
    EXPECT_EQ(error.message(), "cannot stop it");
    EXPECT_EQ(error.status(), Exit::kRefused);
  }
}

TEST(Connection, AFullBacklogHoldsNobodyForEver) {
  char path[] = "/tmp/cove-test-XXXXXX";
  ASSERT_NE(::mkdtemp(path), nullptr);
  Fd dir = openPrivateDir(path);
  Fd listening = listenUnix(dir, "s", 0);  // room for one
  Fd first = connectUnix(dir, "s");
  for (int patience : {0, 50}) {
    try {
      connectUnix(dir, "s", std::chrono::milliseconds{patience});
      ADD_FAILURE() << "there was room";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), EAGAIN);
    }
  }
  ::unlinkat(dir.get(), "s", 0);
  ::rmdir(path);
}

TEST(Connection, SocketsOfDirectoriesDeeperThanSunPath) {
  char base[] = "/tmp/cove-test-XXXXXX";
  ASSERT_NE(::mkdtemp(base), nullptr);
  std::string deep = std::string(base) + "/" + std::string(200, 'd');
  ASSERT_EQ(::mkdir(deep.c_str(), 0700), 0);
  Fd dir = openPrivateDir(deep);
  Fd listening = listenUnix(dir, "s");
  EXPECT_EQ(peerOf(connectUnix(dir, "s")).uid, ::geteuid());
  EXPECT_THROW(connectUnix(dir, "none"), Error);
  ::unlinkat(dir.get(), "s", 0);
  ::rmdir(deep.c_str());
  ::rmdir(base);
}

TEST(Connection, ASideThatServesNothingSaysSo) {
  auto io = kj::setupAsyncIo();
  auto [a, b] = makeSocketPair(SOCK_STREAM);
  Connection ours(*io.lowLevelProvider, std::move(a), Side::kServer);
  Connection theirs(*io.lowLevelProvider, std::move(b), Side::kClient);
  auto asked = theirs.bootstrap<rpc::Target>();  // a client listens from its first question on
  auto target = ours.bootstrap<rpc::Target>();
  try {
    target.processesRequest().send().wait(io.waitScope);
    FAIL();
  } catch (const kj::Exception& e) {
    EXPECT_EQ(fromKj(e).message(), "nothing is served on this side of the connection");
  }
}

// Without an end to it, and never finishes a question.
co::Co<void> askOnly(kj::AsyncIoStream& stream) {
  for (uint32_t id = 0;; ++id) {
    capnp::MallocMessageBuilder message;
    message.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(id);
    auto words = capnp::messageToFlatArray(message);
    auto bytes = words.asBytes();
    co_await stream.write(bytes.begin(), bytes.size());
  }
}

co::Co<void> discard(kj::AsyncIoStream& stream) {
  char buffer[65536];
  while (co_await stream.tryRead(buffer, 1, sizeof buffer) > 0) {
  }
}

TEST(Connection, APeerThatAsksAndTakesNoAnswersIsLeft) {
  auto io = kj::setupAsyncIo();
  for (bool reads : {false, true}) {
    auto pair = makeSocketPair(SOCK_STREAM);
    Connection connection(*io.lowLevelProvider, std::move(pair.first), Side::kServer);
    auto peer = io.lowLevelProvider->wrapSocketFd(
        pair.second.release(),
        kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP | kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
    auto asking = kj::Promise<void>(askOnly(*peer)).eagerlyEvaluate([](kj::Exception&&) {});
    kj::Promise<void> reading = nullptr;
    if (reads) reading = kj::Promise<void>(discard(*peer)).eagerlyEvaluate([](kj::Exception&&) {});
    bool late = false;
    auto limit = io.provider->getTimer().afterDelay(60 * kj::SECONDS).then([&late] { late = true; });
    connection.onDisconnect().exclusiveJoin(kj::mv(limit)).wait(io.waitScope);
    EXPECT_NE(connection.refusal(), "");
    EXPECT_FALSE(late) << (reads ? "finishes none" : "takes none");
  }
}

}  // namespace
}  // namespace cove
