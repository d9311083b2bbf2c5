#include "cove/instance_record.h"

#include <chrono>
#include <cstdio>

#include "base/text.h"
#include "cove/session.h"
#include "rpc/state_name.h"

namespace cove::cli {

// gmtime_r(3) would read /etc/localtime.
std::string formatTime(int64_t secondsSinceEpoch) {
  using namespace std::chrono;
  sys_seconds time{seconds(secondsSinceEpoch)};
  sys_days day = floor<days>(time);
  year_month_day date(day);
  hh_mm_ss clock(time - day);
  char text[64];
  snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", int(date.year()), unsigned(date.month()),
           unsigned(date.day()), int(clock.hours().count()), int(clock.minutes().count()),
           int(clock.seconds().count()));
  return text;
}

Record instanceRecord(rpc::InstanceInfo::Reader info, time_t now) {
  auto spec = info.getSpec();
  auto vm = info.getVm();
  std::vector<std::string> failedUnits;
  for (auto unit : vm.getFailedUnits()) failedUnits.emplace_back(unit.cStr());
  uint64_t memory = uint64_t{spec.getMemoryMiB()} << 20;
  return {
      {"name", cove::str(info.getName()), "NAME"},
      {"state", std::string(info.getCreated() ? "created" : stateName(vm.getState())), "STATE",
       describeState(info)},
      {"os", cove::str(spec.getOs()), "OS"},
      {"cpus", int64_t{spec.getCpus()}, "CPUS"},
      {"memory", int64_t(memory), "MEMORY", formatSize(memory)},
      {"disk", int64_t(spec.getDiskBytes()), "DISK", formatSize(spec.getDiskBytes())},
      {"diskUsed", int64_t(info.getDiskUsed()), "USED", formatSize(info.getDiskUsed())},
      {"age", int64_t(now - info.getCreatedAt()), "AGE", formatAge(now - info.getCreatedAt())},
      {"reason", cove::str(vm.getReason())},
      {"degraded", vm.getDegraded()},
      {"failedUnits", failedUnits},
      {"operation", cove::str(info.getOperation())},
      {"id", cove::str(info.getId())},
      {"variant", cove::str(spec.getVariant())},
      {"image", cove::str(info.getImage())},
      {"dir", cove::str(info.getDirectory())},
      {"createdAt", formatTime(info.getCreatedAt())},
      {"accelerator", cove::str(info.getAccelerator())},
      {"ephemeral", spec.getEphemeral()},
      {"waiting", info.getWaiting()},
      {"user", cove::str(spec.getUser().getName())},
      {"qemuPid", int64_t{vm.getQemuPid()}},
      {"sshHostKey", cove::str(vm.getSshHostKey())},
      {"sshConfigFile", cove::str(info.getDirectory(), "/ssh.config")},
  };
}

}  // namespace cove::cli
