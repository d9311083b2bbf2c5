#include "cove/instance_options.h"

#include "base/text.h"
#include "cove/caller.h"

namespace cove::cli {

namespace {

constexpr uint64_t kMiB = 1 << 20;

uint64_t sizeWithin(std::string_view what, const std::string& text, uint64_t low, uint64_t high) {
  uint64_t size = sizeValue(what, text);
  if (size >= low && size <= high) return size;
  throw usageError(str(std::string(what), ": ", formatSize(size), " is not between ", formatSize(low),
                       " and ", formatSize(high)));
}

}  // namespace

void InstanceOptions::declare(Arguments& arguments) {
  arguments.option(
      "--name", "NAME", [this](const std::string& text) { name = instanceName("--name", text); },
      "name of the new instance; one is made where it is not given");
  arguments.option(
      "--cpus", "N",
      [this](const std::string& text) { cpus = static_cast<uint16_t>(numberValue("--cpus", text, 1, 255)); },
      "processors of the new instance; as many as the host has, at most 4, where not given");
  arguments.option(
      "--memory", "SIZE",
      [this](const std::string& text) {
        memoryMiB = static_cast<uint32_t>(sizeWithin("--memory", text, 64 * kMiB, kMiB * kMiB * 16) / kMiB);
      },
      "memory of the new instance, as in 512M or 4G");
  arguments.option(
      "--disk", "SIZE",
      [this](const std::string& text) {
        diskBytes = sizeWithin("--disk", text, 256 * kMiB, kMiB * kMiB * 64);
      },
      "size of its disk, of which only what is written takes space; 100G where not given");
  arguments.option("--variant", "NAME", variant,
                   "set of packages: default, or minimal, which has systemd and no ssh server");
}

void InstanceOptions::describe(rpc::InstanceSpec::Builder spec, bool ephemeral) const {
  spec.setName(name);
  spec.setOs(os);
  spec.setVariant(variant);
  spec.setCpus(cpus);
  spec.setMemoryMiB(memoryMiB);
  spec.setDiskBytes(diskBytes);
  spec.setEphemeral(ephemeral);
  describeCaller(spec.initUser());
}

}  // namespace cove::cli
