// ha.stdout.log: the machine's states as JSON lines, for whoever was not connected when they changed.
#pragma once
#include "machine/rotated_file.h"
#include "machine/status.h"

namespace cove {

class EventLog {
 public:
  explicit EventLog(const Fd& instanceDir);
  // {"time", "status": {"state", "running", "degraded", "exiting", "errors": […]}}
  void write(const MachineStatus& status);

 private:
  RotatedFile file_;
};

}  // namespace cove
