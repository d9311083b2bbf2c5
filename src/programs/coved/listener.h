// The daemon's socket and its clients' connections.
#pragma once
#include <capnp/capability.h>
#include <kj/async-io.h>
#include <list>

#include "base/lock.h"
#include "base/log.h"
#include "base/paths.h"
#include "rpc/co.h"
#include "rpc/connection.h"

namespace cove {

class Listener {
 public:
  // Only the holder of life.lock may bind or unlink. The lock file's content tells clients whose runtime
  // directory is another one where the socket is.
  Listener(kj::AsyncIoContext& io, const StateDir& state, const Lock& lifeLock, const Log& log);
  Listener(const Listener&) = delete;
  // Removes the socket. Clients that were not accepted yet see the end of the stream before any answer, and
  // try again.
  ~Listener();

  // Serves `served` to every client of our own uid, until dropped; binds again when the socket's name is
  // gone.
  co::Co<void> serve(capnp::Capability::Client served);

  // Ends every connection, and so what their clients asked for and did not hand over.
  void disconnectAll();

  size_t clients() const { return connections_.size(); }
  std::string socketPath() const { return runtime_.path + "/" + name_; }
  // When the last client came or went.
  kj::TimePoint lastChange() const { return lastChange_; }

 private:
  void bind();
  bool isBound() const;
  co::Co<void> acceptAll(capnp::Capability::Client served);
  co::Co<void> whenUnbound();
  void admit(Fd socket, capnp::Capability::Client served);

  kj::AsyncIoContext& io_;
  const Log& log_;
  const Lock& lifeLock_;
  RuntimeDir runtime_;
  std::string name_;
  Fd socket_;
  ino_t inode_ = 0;
  std::list<Connection> connections_;
  kj::TimePoint lastChange_;
  struct ErrorLog : kj::TaskSet::ErrorHandler {
    explicit ErrorLog(const Log& out) : log(out) {}
    void taskFailed(kj::Exception&& e) override;
    const Log& log;
  } errors_;
  kj::Own<kj::TaskSet> departures_ = kj::heap<kj::TaskSet>(errors_);
};

}  // namespace cove
