#include "instance/saved_key.h"

#include <array>
#include <nlohmann/json.hpp>
#include <sodium.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/error.h"
#include "base/paths.h"
#include "base/text.h"
#include "hypervisor/qemu_command.h"
#include "instance/launch.h"
#include "machine/setup.h"

namespace cove {

namespace {
constexpr size_t kLargestCpuinfo = 16 << 20;

std::string digestOf(std::string_view text) {
  std::array<unsigned char, 32> bytes;
  ::crypto_generichash(bytes.data(), bytes.size(), reinterpret_cast<const unsigned char*>(text.data()),
                       text.size(), nullptr, 0);
  std::array<char, 65> hex;
  return ::sodium_bin2hex(hex.data(), hex.size(), bytes.data(), bytes.size());
}

// Which file it is, and whether it was changed since: what replaces it is another file.
std::string identityOf(const std::string& path) {
  struct stat st = statOf(openFile(path, O_PATH), path);
  return str(path.c_str(), " ", st.st_dev, ":", st.st_ino, " ", st.st_size, " ", st.st_mtim.tv_sec, ".",
             st.st_mtim.tv_nsec);
}

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
  std::string more;
  for (const std::string& word : image.manifest.kernelArguments) more += " " + word;
  machine.kernelArguments = kernelCommandLine(machine.accelerator, true) + more;
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
