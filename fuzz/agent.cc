// A guest's agent, as its supervisor meets it: the channel, then Cap'n Proto, from a guest that lies.
//
// The first byte says how the rest is sent: as it is, or as the payload of a channel that was opened
// properly.
#include <cstring>
#include <kj/async-unix.h>
#include <sys/socket.h>
#include <unistd.h>

#include "machine/agent_session.h"
#include "require.h"
#include "rpc/scanner.h"

namespace {

using namespace cove;

// The guest's side, without waiting: what it read of the host, and what it sends.
class Guest {
 public:
  explicit Guest(Fd port) : port_(std::move(port)) {}

  // The nonce of the host's hello, once it has come.
  std::optional<uint64_t> nonce() {
    std::byte buffer[65536];
    ssize_t n;
    while ((n = ::recv(port_.get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
      std::span<const std::byte> input(buffer, static_cast<size_t>(n));
      while (scanner_.next(input) != Scanner::Found::kMore)
        if (scanner_.record() == Record::kHello && scanner_.nonce() != 0) return scanner_.nonce();
    }
    return std::nullopt;
  }

  void send(std::span<const std::byte> data) {
    [[maybe_unused]] ssize_t n = ::send(port_.get(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  void sendFramed(uint64_t epoch, std::span<const std::byte> data) {
    while (!data.empty()) {
      auto part = data.first(std::min(data.size(), kFramePayload));
      send(encodeHeader(epoch, static_cast<uint32_t>(part.size())));
      send(part);
      send(encodeTrailer(epoch));
      data = data.subspan(part.size());
    }
  }

  void close() { port_.reset(); }

 private:
  Fd port_;
  Scanner scanner_;
};

kj::AsyncIoContext& loop() {
  static kj::AsyncIoContext io = kj::setupAsyncIo();
  return io;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  auto& io = loop();
  auto pair = makeSocketPair(SOCK_STREAM);
  setNonblocking(pair.first);
  Guest guest(std::move(pair.second));
  capnp::MallocMessageBuilder message;
  auto config = message.initRoot<rpc::VmConfig>();
  config.setName("fuzz");

  bool ended = false;
  AgentSession::Events events;
  events.up = [] {};
  events.ready = [](bool, std::vector<std::string> failed) {
    for (const auto& unit : failed) require(unit.find('\x1b') == std::string::npos);
  };
  events.hostKey = [](std::string key) { require(key.find('\x1b') == std::string::npos); };
  events.lost = [&](std::string why) {
    require(why.find('\x1b') == std::string::npos);
    ended = true;
  };
  AgentLimits limits{20 * kj::MILLISECONDS, 20 * kj::MILLISECONDS};
  AgentSession session(io.unixEventPort, std::move(pair.first), config, limits, std::move(events));
  auto running = session.run().eagerlyEvaluate(nullptr);

  auto input = std::as_bytes(std::span(data + 1, size - 1));
  std::optional<uint64_t> nonce;
  for (int i = 0; i < 100 && !(nonce = guest.nonce()); i++) running.poll(io.waitScope);
  require(nonce.has_value());
  if (data[0] & 1) {
    guest.send(encodeRecord(Record::kWelcome, *nonce));
    guest.sendFramed(*nonce, input);
  } else {
    guest.send(input);
  }
  for (int i = 0; i < 3; i++) running.poll(io.waitScope);
  guest.close();
  for (int i = 0; i < 20 && !ended; i++) running.poll(io.waitScope);
  return 0;
}
