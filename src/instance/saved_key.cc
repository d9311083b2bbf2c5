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

// An emulated machine depends on nothing of it.
nlohmann::json hostOf(const std::string& accelerator) {
  if (accelerator != "kvm") return nullptr;
  utsname host{};
  check(::uname(&host), "find out", "the kernel's version");
  return {host.release, host.version, cpuFlags()};
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
  madeOf["host"] = hostOf(machine.accelerator);
  SavedKey key{madeOf.dump(), {}};
  key.digest = digestOf(key.madeOf);
  return key;
}

std::string resumeKind(const InstanceRecord& record) {
  return nlohmann::json{{"accelerator", record.accelerator},
                        {"cpus", record.spec.cpus},
                        {"memoryMiB", record.spec.memoryMiB},
                        {"processor", record.accelerator == "kvm" ? cpuFlags() : ""}}
      .dump();
}

}  // namespace cove
