// Finds coved, or starts it: steps 1 to 8 of "Race-free start" (docs/architecture.md, "The daemon").
//
// However many clients come at once, one daemon is started; nobody hangs: every wait has a time limit, and a
// daemon that cannot start is an Error with its reason and the tail of its log.
#pragma once
#include <functional>
#include <kj/async-io.h>
#include <memory>
#include <string>
#include <string_view>

#include "rpc/connection.h"
#include "rpc/daemon.capnp.h"

namespace cove {

enum class Autostart {
  kNo,         // only a daemon that runs already: `daemon state`, `daemon stop`
  kYes,        // every other command; refused after 3 failed starts within a minute
  kRegardless  // `daemon start`: the user asks for another try
};

class DaemonClient {
 public:
  // Receives lines for the user ("starting daemon…"), without "cove: " and newline.
  using Notice = std::function<void(std::string_view)>;

  // Null only for Autostart::kNo. `io` outlives the client. Blocks up to the start's time limit (30 s) where
  // another process is just starting the daemon.
  static kj::Promise<std::unique_ptr<DaemonClient>> connect(kj::AsyncIoContext& io, Autostart autostart,
                                                            Notice notice = printNotice);
  // Ends a running daemon: operations are drained, machines go on. Answered when it has ended; false when
  // there was none.
  static kj::Promise<bool> stop(kj::AsyncIoContext& io);
  // "cove: LINE" on stderr.
  static void printNotice(std::string_view line);
  // Whether a start would now run a newer build than the daemon's. It serves all the same, and gives way to
  // the next command that finds it doing nothing.
  static bool isOutdated(std::string_view buildId);

  rpc::Daemon::Client daemon() const { return daemon_; }
  // Resolves when the daemon is gone (killed, or ended by itself).
  kj::Promise<void> onDisconnect() { return connection_.onDisconnect(); }

 private:
  DaemonClient(kj::AsyncIoContext& io, Fd socket);
  friend class DaemonStarter;

  Connection connection_;
  mutable rpc::Daemon::Client daemon_;
};

}  // namespace cove
