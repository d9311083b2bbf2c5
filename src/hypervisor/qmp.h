// A QMP connection: commands with time limits, and events.
#pragma once
#include <functional>
#include <kj/async-io.h>
#include <kj/timer.h>
#include <map>
#include <string>

#include "hypervisor/qmp_reader.h"
#include "rpc/co.h"

namespace cove {

class Qmp {
 public:
  using EventHandler = std::function<void(const QmpMessage& event)>;
  // Events arrive at `onEvent` in their order, from the event loop.
  Qmp(kj::Own<kj::AsyncIoStream> stream, kj::Timer& timer, EventHandler onEvent);

  // Greeting and capabilities negotiation; the version, "7.2.22". To be awaited before any command.
  kj::Promise<std::string> negotiate(kj::Duration limit);
  // The reply's payload as JSON. An Error names the command and QEMU's description, a time limit that passed,
  // or why the connection ended. `arguments` is a JSON object or empty.
  kj::Promise<std::string> execute(std::string name, std::string arguments = {},
                                   kj::Duration limit = 10 * kj::SECONDS);
  // Rejected when the peer closed the connection or broke the protocol; never fulfilled.
  kj::Promise<void> onEnd() { return end_.addBranch(); }

 private:
  struct Waiting {
    std::string name;
    kj::Own<kj::PromiseFulfiller<std::string>> fulfiller;
  };
  co::Co<void> readAll();
  void handle(QmpMessage message);
  void send(std::string line);
  void fail(const kj::Exception& reason);

  kj::Own<kj::AsyncIoStream> stream_;
  kj::Timer& timer_;
  EventHandler onEvent_;
  QmpReader reader_;
  uint64_t lastId_ = 0;
  std::map<uint64_t, Waiting> waiting_;
  kj::Own<kj::PromiseFulfiller<std::string>> greeting_;
  kj::Promise<std::string> greeted_ = nullptr;
  kj::Promise<void> writing_ = kj::READY_NOW;
  kj::Maybe<kj::Exception> failure_;
  kj::ForkedPromise<void> end_ = nullptr;
};

}  // namespace cove
