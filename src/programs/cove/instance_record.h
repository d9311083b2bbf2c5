// An instance as list and info print it.
#pragma once
#include <ctime>

#include "cove/output.h"
#include "rpc/daemon.capnp.h"

namespace cove::cli {

Record instanceRecord(rpc::InstanceInfo::Reader info, time_t now);

// "2026-01-31T12:00:00Z"
std::string formatTime(int64_t secondsSinceEpoch);

}  // namespace cove::cli
