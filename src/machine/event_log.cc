#include "machine/event_log.h"

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "rpc/state_name.h"

namespace cove {

namespace {
constexpr size_t kLimit = 1 << 20;
}  // namespace

EventLog::EventLog(const Fd& instanceDir) : file_(instanceDir, "ha.stdout.log", kLimit) {}

void EventLog::write(const MachineStatus& status) {
  using rpc::VmState;
  nlohmann::json errors = nlohmann::json::array();
  if (!status.reason.empty()) errors.push_back(status.reason);
  for (const std::string& unit : status.failedUnits) errors.push_back("unit " + unit + " failed");
  nlohmann::json line = {{"time", timestamp()},
                         {"status",
                          {{"state", stateName(status.state)},
                           {"running", status.state == VmState::UP || status.state == VmState::READY},
                           {"degraded", status.degraded},
                           {"exiting", status.state == VmState::STOPPING || status.ended()},
                           {"errors", errors}}}};
  // Whatever a guest may have got into a reason that is no UTF-8 is replaced, not thrown about.
  file_.append(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace cove
