#include "machine/event_log.h"

#include <ctime>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace cove {

namespace {
constexpr size_t kLimit = 1 << 20;

std::string timestamp() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  ::gmtime_r(&now.tv_sec, &parts);
  char text[64];
  size_t n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + n, sizeof text - n, ".%03ldZ", now.tv_nsec / 1'000'000);
  return text;
}
}  // namespace

const char* stateName(rpc::VmState state) {
  switch (state) {
    case rpc::VmState::STARTING:
      return "starting";
    case rpc::VmState::UP:
      return "up";
    case rpc::VmState::READY:
      return "ready";
    case rpc::VmState::STOPPING:
      return "stopping";
    case rpc::VmState::STOPPED:
      return "stopped";
    case rpc::VmState::FAILED:
      return "failed";
    case rpc::VmState::PAUSED:
      return "paused";
  }
  return "unknown";
}

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
