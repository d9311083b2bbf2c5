// The options that describe a new instance, common to create, start and run.
#pragma once
#include <string>

#include "cove/arguments.h"
#include "rpc/daemon.capnp.h"

namespace cove::cli {

struct InstanceOptions {
  std::string name;
  uint16_t cpus = 0;  // 0 in each: the daemon's default
  uint32_t memoryMiB = 0;
  uint64_t diskBytes = 0;
  std::string os, variant;

  void declare(Arguments& arguments);
  // Whether any of them but `os` was given.
  bool any() const { return !name.empty() || !variant.empty() || cpus || memoryMiB || diskBytes; }
  // With the caller as the guest's user.
  void describe(rpc::InstanceSpec::Builder spec, bool ephemeral) const;
};

}  // namespace cove::cli
