// Machines that wait, ready, for the next `cove run` of their kind (docs/saved-machines.md): of the kind that
// was run last, and only where the daemon was told to keep some. Each is an ephemeral instance whose lease is
// held here.
#pragma once
#include <functional>
#include <kj/timer.h>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "instance/spec.h"
#include "rpc/co.h"
#include "rpc/vm.capnp.h"

namespace cove {

// Its lease is a connection, whose end deletes it.
struct LeasedInstance {
  std::string id, name;
  rpc::Socket::Client lease;
};

class Pool {
 public:
  struct Limits {
    size_t size = 0;                       // 0: none waits
    kj::Duration idle = 10 * kj::MINUTES;  // without a run; then all end. 0: they wait for ever
  };
  using Make = std::function<kj::Promise<LeasedInstance>(InstanceSpec)>;

  Pool(kj::Timer& timer, Limits limits, Make make, const Log& log)
      : timer_(timer), limits_(limits), make_(std::move(make)), log_(log) {}

  // One of that kind. It may have ended since it was made.
  std::optional<LeasedInstance> take(const std::string& kind);
  // One of that kind was run: as many as there should be are made, a moment later and one after another, as
  // nobody waits for them.
  void want(const std::string& kind, InstanceSpec spec);
  // Their ids: whoever holds no lease ends, but a moment later.
  std::vector<std::string> clear();

  bool isWanted() const { return limits_.size > 0; }
  bool holds(const std::string& id) const;
  void forget(const std::string& id);  // it has ended
  size_t size() const { return waiting_.size(); }

 private:
  co::Co<void> fill();

  kj::Timer& timer_;
  Limits limits_;
  Make make_;
  const Log& log_;
  std::string kind_;
  InstanceSpec spec_;
  std::vector<LeasedInstance> waiting_;  // all of kind_
  kj::Promise<void> filling_ = nullptr;
};

}  // namespace cove
