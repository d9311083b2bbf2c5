#include "hypervisor/qmp.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace cove {
namespace {

constexpr const char* kGreeting =
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"\"}, "
    "\"capabilities\": [\"oob\"]}}\r\n";

std::string messageOf(const std::function<void()>& action) {
  try {
    action();
  } catch (...) {
    return currentError().message();
  }
  return "";
}

TEST(QmpMessage, OnlyTheProtocolIsTaken) {
  EXPECT_EQ(parseQmpMessage(R"({"event":"STOP","timestamp":{}})").name, "STOP");
  EXPECT_EQ(parseQmpMessage(R"({"return":{},"id":7})").id, 7U);
  EXPECT_EQ(parseQmpMessage(R"({"error":{"class":"C","desc":"d"},"id":7})").text, "d");
  for (const char* bad :
       {"", "x", "[]", "{}", "\"QMP\"", R"({"return":{}})", R"({"return":{},"id":-1})",
        R"({"return":{},"id":"1"})", R"({"event":1})", R"({"event":"A","data":[]})", R"({"error":{},"id":1})",
        R"({"error":"x","id":1})", R"({"QMP":1})", "{\"event\":\"\xff\"}"})
    EXPECT_THROW(parseQmpMessage(bad), Error) << bad;
  EXPECT_THROW(parseQmpMessage(std::string(100'000, '[')), Error);
  std::string deep = R"({"id":1,"return":)" + std::string(40, '[') + std::string(40, ']') + "}";
  EXPECT_THROW(parseQmpMessage(deep), Error);
}

TEST(QmpReader, LinesAreBounded) {
  QmpReader reader;
  reader.feed(R"({"event":"A"})");
  EXPECT_FALSE(reader.next().has_value());
  reader.feed("\r\n\r\n{\"event\":\"B\"}\n");
  EXPECT_EQ(reader.next()->name, "A");
  EXPECT_EQ(reader.next()->name, "B");
  EXPECT_FALSE(reader.next().has_value());
  reader.feed(std::string(kQmpLine + 1, ' '));
  EXPECT_THROW(reader.next(), Error);
}

// A peer that says what the test tells it to.
class QmpTest : public testing::Test {
 protected:
  QmpTest() {
    auto pipe = io_.provider->newTwoWayPipe();
    peer_ = kj::mv(pipe.ends[1]);
    qmp_ = kj::heap<Qmp>(kj::mv(pipe.ends[0]), io_.provider->getTimer(),
                         [this](const QmpMessage& event) { events_.push_back(event.name); });
  }
  ~QmpTest() noexcept override {}
  void say(const std::string& text) { peer_->write(text.data(), text.size()).wait(io_.waitScope); }
  std::string hear() {
    char buffer[4096];
    size_t n = peer_->tryRead(buffer, 1, sizeof buffer).wait(io_.waitScope);
    return {buffer, n};
  }
  void negotiate() {
    auto version = qmp_->negotiate(1 * kj::SECONDS);
    say(kGreeting);
    EXPECT_NE(hear().find("qmp_capabilities"), std::string::npos);
    say("{\"return\": {}, \"id\": 1}\r\n");
    EXPECT_EQ(version.wait(io_.waitScope), "7.2.22");
  }
  std::string failureOf(kj::Promise<std::string> promise) {
    return messageOf([&] { promise.wait(io_.waitScope); });
  }

  kj::AsyncIoContext io_ = kj::setupAsyncIo();
  kj::Own<kj::AsyncIoStream> peer_;
  std::vector<std::string> events_;
  kj::Own<Qmp> qmp_;
};

TEST_F(QmpTest, CommandsAndEvents) {
  negotiate();
  auto first = qmp_->execute("query-status"), second = qmp_->execute("cont");
  say("{\"event\": \"RESUME\"}\n{\"return\": {}, \"id\": 3}\n{\"return\": {\"running\": true}, \"id\": 2}\n");
  EXPECT_EQ(first.wait(io_.waitScope), "{\"running\":true}");
  EXPECT_EQ(second.wait(io_.waitScope), "{}");
  EXPECT_EQ(events_, std::vector<std::string>{"RESUME"});
}

TEST_F(QmpTest, ARefusalIsEscaped) {
  negotiate();
  auto answer = qmp_->execute("cont");
  say("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no \\u001b[31m\"}, \"id\": 2}\n");
  EXPECT_EQ(failureOf(kj::mv(answer)), "QEMU refused cont: no \\x1b[31m");
}

TEST_F(QmpTest, SilenceHasALimit) {
  EXPECT_EQ(failureOf(qmp_->negotiate(10 * kj::MILLISECONDS)), "QEMU did not greet in time");
  EXPECT_EQ(failureOf(qmp_->execute("cont", {}, 10 * kj::MILLISECONDS)), "QEMU did not answer cont in time");
  // The answer that comes too late is no breach.
  say("{\"return\": {}, \"id\": 1}\n{\"event\": \"STOP\"}\n");
  auto next = qmp_->execute("stop");
  say("{\"return\": {}, \"id\": 2}\n");
  EXPECT_EQ(next.wait(io_.waitScope), "{}");
}

TEST_F(QmpTest, HostileAnswersEndTheConnection) {
  negotiate();
  auto answer = qmp_->execute("cont");
  say("{\"return\": {}, \"id\": 99}\n");
  EXPECT_EQ(failureOf(kj::mv(answer)), "QEMU broke its protocol: an answer that nobody waits for");
  EXPECT_NE(messageOf([&] { qmp_->onEnd().wait(io_.waitScope); }), "");
  EXPECT_NE(failureOf(qmp_->execute("cont")), "");
}

TEST_F(QmpTest, TheEndOfThePeerIsAnError) {
  negotiate();
  auto answer = qmp_->execute("cont");
  peer_ = nullptr;
  EXPECT_EQ(failureOf(kj::mv(answer)), "QEMU closed its control connection");
}

}  // namespace
}  // namespace cove
