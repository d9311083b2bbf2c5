// One command on this machine: its process, its streams, and what a client may do with it.
#pragma once
#include <kj/async-unix.h>
#include <optional>
#include <string>
#include <vector>

#include "rpc/stream.h"
#include "target/local.h"
#include "target/spawn.h"

namespace cove {

// Outlives the connections that use it. Killed when destroyed before its end.
class Command : public kj::Refcounted {
 public:
  struct Description {
    uint64_t id = 0;
    std::vector<std::string> argv;
    std::string user;
    uint64_t startedMs = 0;
    bool terminal = false;
  };
  // Checks the request and starts it; a program that cannot be executed is a command that has ended.
  Command(kj::UnixEventPort& port, rpc::Command::Reader request, uint64_t id,
          std::optional<CommandCgroup> cgroup, bool resetOomScore);
  ~Command() noexcept(false) override;

  const Description& description() const { return description_; }
  bool attached() const;
  bool ended() const { return ended_; }
  bool holds(uint64_t client) const { return client == client_; }

  // The streams go to this client from now on, with what its predecessor did not acknowledge. The number
  // tells the clients apart.
  uint64_t attach(rpc::ByteSink::Client out, rpc::ByteSink::Client err);
  // This client is gone; its streams are kept for the next one.
  void detach(uint64_t client);
  rpc::ByteSink::Client stdinSink();
  uint64_t stdinOffset() const;

  // Resolves when it has ended and `client` was sent all output; at once when another client took it over.
  kj::Promise<void> whenDone(uint64_t client);
  void describeEnd(uint64_t client, rpc::ExitStatus::Builder status) const;
  // When nothing is left that the client did not acknowledge, or the client is gone.
  kj::Promise<void> whenSettled();

  void signal(int number);
  void resize(uint16_t rows, uint16_t columns);

 private:
  struct Streams;  // the command's ends while it is started
  Streams openStreams(rpc::Command::Reader request);
  void start(rpc::Command::Reader request, bool resetOomScore);
  kj::Promise<void> watch();
  kj::Promise<void> enforce(uint64_t timeoutMs);
  void finished();
  void signalAll(int number);

  kj::UnixEventPort& port_;
  Description description_;
  std::optional<CommandCgroup> cgroup_;
  pid_t pid_ = 0;
  Fd pidfd_;
  Fd master_;
  kj::Own<StreamSender> out_, err_;
  kj::Own<StreamReceiver> in_;
  uint64_t client_ = 0;
  kj::Own<kj::PromiseFulfiller<void>> takeOver_;
  kj::ForkedPromise<void> takenOver_ = nullptr;
  kj::Own<kj::PromiseFulfiller<void>> endFulfiller_;
  kj::ForkedPromise<void> end_ = nullptr;
  bool ended_ = false, timedOut_ = false;
  std::optional<NotSpawned> notStarted_;
  int waitStatus_ = 0;
  kj::Promise<void> watching_ = nullptr;
  kj::Promise<void> enforcing_ = nullptr;
  kj::Promise<void> hangingUp_ = nullptr;
};

}  // namespace cove
