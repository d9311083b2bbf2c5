// For the tests of this layer: a local Target behind a real connection, and a sink that remembers.
#pragma once
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/co.h"
#include "rpc/connection.h"
#include "target/local.h"

namespace cove {

struct Collected {
  std::string data;
  bool ended = false;
  bool stalled = false;  // writes are not answered
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> held;
  void resume() {
    stalled = false;
    for (auto& each : held) each->fulfill();
    held.clear();
  }
};

class CollectingSink final : public rpc::ByteSink::Server {
 public:
  explicit CollectingSink(std::shared_ptr<Collected> into) : into_(std::move(into)) {}
  kj::Promise<void> write(WriteContext context) override {
    auto params = context.getParams();
    EXPECT_EQ(params.getOffset(), into_->data.size());
    auto data = params.getData();
    into_->data.append(reinterpret_cast<const char*>(data.begin()), data.size());
    if (!into_->stalled) return kj::READY_NOW;
    auto held = kj::newPromiseAndFulfiller<void>();
    into_->held.push_back(kj::mv(held.fulfiller));
    return kj::mv(held.promise);
  }
  kj::Promise<void> end(EndContext) override {
    into_->ended = true;
    return kj::READY_NOW;
  }

 private:
  std::shared_ptr<Collected> into_;
};

class TargetTest : public ::testing::Test {
 protected:
  TargetTest() { connect(); }
  ~TargetTest() noexcept override {
    client.reset();
    server.reset();
    std::filesystem::remove_all(dir);
  }

  // A connection of its own to the one Target; the one before is lost.
  void connect() {
    auto [a, b] = makeSocketPair(SOCK_STREAM);
    client.reset();
    server = std::make_unique<Connection>(*io.lowLevelProvider, std::move(a), Side::kServer, served);
    client = std::make_unique<Connection>(*io.lowLevelProvider, std::move(b), Side::kClient);
  }
  rpc::Target::Client target() { return client->bootstrap<rpc::Target>(); }
  void pass(int milliseconds) {
    port.getTimer().afterDelay(milliseconds * kj::MILLISECONDS).wait(io.waitScope);
  }
  template <typename Condition>
  bool until(Condition&& condition) {
    for (int i = 0; i < 5000 && !condition(); ++i) pass(2);
    return condition();
  }
  void write(const std::string& name, const std::string& data) { std::ofstream(dir / name) << data; }
  std::string read(const std::string& name) {
    std::ifstream in(dir / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::filesystem::path makeDir() {
    char name[] = "/tmp/cove-target-XXXXXX";
    return ::mkdtemp(name);
  }

  std::filesystem::path dir = makeDir();
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::UnixEventPort& port = io.unixEventPort;
  rpc::Target::Client served = makeLocalTarget(port);
  std::unique_ptr<Connection> server, client;
};

}  // namespace cove
