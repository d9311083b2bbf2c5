// rpc::Daemon: one file a noun (service_daemon.cc, service_images.cc, service_instances.cc). Whoever holds
// this capability is the daemon's own user: the listener lets nobody else in. Every text and size of a
// request is checked by what it is given to.
#pragma once
#include <functional>

#include "rpc/daemon.capnp.h"

namespace cove {

class Activity;

class DaemonService final : public rpc::Daemon::Server {
 public:
  struct Parts {
    Activity& activity;
    std::function<void(rpc::DaemonInfo::Builder)> describe;  // fills in what is not known here
    std::function<void()> end;
    std::string stateId, buildId;
  };
  explicit DaemonService(Parts parts) : parts_(std::move(parts)) {}

 protected:
  kj::Promise<void> hello(HelloContext context) override;
  kj::Promise<void> state(StateContext context) override;
  kj::Promise<void> shutdown(ShutdownContext context) override;

 private:
  Parts parts_;
};

}  // namespace cove
