// What lives as long as the daemon, made in the order in which it needs each other.
#pragma once
#include <ctime>
#include <kj/async-io.h>
#include <optional>

#include "coved/lifetime.h"
#include "coved/listener.h"
#include "coved/log_file.h"
#include "coved/service.h"
#include "instance/images.h"
#include "instance/instances.h"
#include "journal/journal.h"

namespace cove {

class Daemon {
 public:
  Daemon(kj::AsyncIoContext& io, const std::string& home);

  // Everything up to the listening socket; from then on clients find it. An Error says why it cannot be.
  void start();
  // Serves until it is to end. Then operations are over, and machines go on.
  void run();
  const Log& log() const { return log_.log(); }

 private:
  DaemonService::Parts parts();
  Lifetime::Use use();
  void describe(rpc::DaemonInfo::Builder info);

  kj::AsyncIoContext& io_;
  StateDir state_;
  LogFile log_;
  std::string buildId_;
  time_t startedAt_;
  Activity activity_;
  Lifetime lifetime_;
  std::optional<Lock> lifeLock_;  // released when the database is closed
  std::optional<Database> database_;
  std::optional<Journal> journal_;
  std::optional<Records> records_;
  std::optional<Images> images_;
  std::optional<SavedMachines> saved_;
  std::optional<Instances> instances_;
  kj::ForkedPromise<void> recovered_ = nullptr;
  std::optional<Listener> listener_;
};

}  // namespace cove
