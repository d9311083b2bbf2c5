#include "instance/saved_key.h"

#include <nlohmann/json.hpp>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/error.h"
#include "base/paths.h"
#include "hypervisor/qemu_command.h"
#include "instance/launch.h"
#include "instance/saved_files.h"
#include "machine/setup.h"

namespace cove {

namespace {
constexpr size_t kLargestCpuinfo = 16 << 20;

std::string cpuFlags() {
  std::string text = readFile("/proc/cpuinfo", kLargestCpuinfo);
  size_t at = text.find("\nflags");
  return at == std::string::npos ? "" : text.substr(at + 1, text.find('\n', at + 1) - at - 1);
}
}  // namespace

SavedKey savedKey(const InstanceRecord& record, const image::Image& image) {
  MachineSpec machine;
  machine.name = "saved";
  machine.program = requireQemu();
  machine.accelerator = record.accelerator;
  machine.cpus = record.spec.cpus;
  machine.memoryMiB = record.spec.memoryMiB;
  // What the image adds is in its digest.
  machine.kernelArguments = kernelCommandLine(machine.accelerator, true);
  machine.saveTo.emplace();
  machine.frames = openFile("/dev/null", O_RDONLY);  // that there is a network card
  nlohmann::json madeOf = {{"image", image.digest},
                           {"os", image.manifest.os},
                           {"variant", image.manifest.variant},
                           {"disk", record.spec.diskBytes},
                           {"memoryMiB", record.spec.memoryMiB},
                           {"cpus", record.spec.cpus},
                           {"agent", identityOf(programPath("cove-agent"))},
                           {"qemu", identityOf(machine.program)},
                           {"command", qemuCommand(machine)},
                           {"owner", ::geteuid()}};
  if (machine.accelerator == "kvm") {
    utsname host{};
    check(::uname(&host), "find out", "the kernel's version");
    madeOf["host"] = {host.release, host.version, cpuFlags()};
  }
  SavedKey key{madeOf.dump(), {}};
  key.digest = digestOf(key.madeOf);
  return key;
}

}  // namespace cove
