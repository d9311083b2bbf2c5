#include "machine/setup.h"

#include <capnp/serialize.h>
#include <sys/sendfile.h>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "machine/disk_layers.h"
#include "machine/initrd.h"
#include "rpc/connection.h"

namespace cove {

namespace {
// Reboots at once when it panics, which stops the machine (-action); names eth0; the rest is quiet. And what
// wakes up a machine that does nothing: watchdogs, which a busy host sets off for nothing, compaction and
// statistics of memory.
constexpr const char* kKernelArguments =
    "console=ttyS0 quiet loglevel=3 panic=-1 net.ifnames=0 rdinit=/init nowatchdog "
    "sysctl.vm.compaction_proactiveness=0 sysctl.vm.stat_interval=10";
// An emulated machine's TSC is one clock for all of its processors, but the kernel believes that of no AMD
// processor without being told. Without it every look at the clock reads a register of an emulated timer.
// And its timer interrupts come late on a loaded host, which the kernel would take for a broken timer: it
// panics. Why without randomized addresses: docs/decisions/no-aslr-when-emulated.md.
constexpr const char* kEmulatedArguments = " tsc=reliable no_timer_check norandmaps";

void openSaved(SavedMachine saved, MachineSpec& spec) {
  spec.memory = std::move(saved.memory);
  spec.copyOnWrite = true;
  spec.devices = std::move(saved.devices);
  spec.layers.push_back(std::move(saved.disk));
}

// A copy, which a QEMU that is nobody can open.
Fd copyKernel(const Fd& imageDir) {
  Fd file = openBeneath(imageDir, "kernel", O_RDONLY), copy = makeMemfd("kernel");
  off_t size = statOf(file, "kernel").st_size;
  for (off_t at = 0; at < size;)
    if (check(::sendfile(copy.get(), file.get(), &at, static_cast<size_t>(size - at)), "copy", "kernel") == 0)
      throw Error("the image's kernel became shorter");
  sealMemfd(copy);
  return copy.reopen();
}

void openMemory(VmSetup& setup, MachineSpec& spec) {
  spec.memory = makeMemfd("memory");
  check(::ftruncate(spec.memory.get(), static_cast<off_t>(spec.memoryMiB) << 20), "make", "the memory");
  // QEMU can neither make it larger, which would fill the disk where it is saved, nor smaller.
  check(::fcntl(spec.memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), "seal",
        "the memory");
  if (!setup.config.getResume()) return;
  if (!setup.key) throw Error("cannot resume a machine: the key of its state is not there");
  setup.devices = makeMemfd("devices");
  spec.devices = setup.devices.reopen();
}
}  // namespace

VmSetup readSetup(const Fd& config, Fd instanceDir, Fd imageDir) {
  VmSetup setup;
  setup.message = kj::heap<capnp::StreamFdMessageReader>(config.get(), readerOptions());
  setup.config = setup.message->getRoot<rpc::VmConfig>();
  if (!isValidName({setup.config.getName().begin(), setup.config.getName().size()}))
    throw Error("cannot start a machine: its name is not valid");
  if (setup.config.getCpus() == 0 || setup.config.getMemoryMiB() == 0)
    throw Error("cannot start a machine without processors or memory");
  setup.instanceDir = std::move(instanceDir);
  setup.imageDir = std::move(imageDir);
  return setup;
}

std::string kernelCommandLine(std::string_view accelerator, bool saved) {
  return cove::str(kKernelArguments, accelerator == "tcg" ? kEmulatedArguments : "",
                   saved ? " cove.saved" : "");
}

MachineSpec openMachine(VmSetup& setup, const Fd& agentProgram) {
  MachineSpec spec;
  spec.name = setup.config.getName().cStr();
  spec.program = setup.config.getQemu().cStr();
  spec.accelerator = setup.config.getAccelerator().cStr();
  spec.cpus = setup.config.getCpus();
  spec.memoryMiB = setup.config.getMemoryMiB();
  // A machine that is saved and did not come so far is made anew.
  spec.ephemeral = setup.config.getEphemeral() || setup.config.getSave();
  bool saved = setup.config.getSave() || setup.config.getFromSaved();
  spec.kernelArguments =
      cove::str(kernelCommandLine(spec.accelerator, saved), " ", setup.config.getKernelArguments());
  if (std::string id = setup.config.getId(); !id.empty()) spec.kernelArguments += " cove.id=" + id;
  // That of an earlier resume, which came to nothing, may have been written.
  if (setup.config.getResume()) emptyDisk(setup.instanceDir);
  spec.disk = openBeneath(setup.instanceDir, kDiskName, O_RDWR);
  spec.backing = openBeneath(setup.imageDir, "root.img", O_RDONLY);
  if (setup.config.getFromSaved() != setup.from.has_value())
    throw Error("cannot start a machine: where it begins is not there");
  if (setup.from) {
    openSaved(std::move(*std::exchange(setup.from, std::nullopt)), spec);
  } else {
    spec.kernel = copyKernel(setup.imageDir);
    spec.initrd = composeInitrd(openBeneath(setup.imageDir, "modules.cpio", O_RDONLY), agentProgram).reopen();
    openMemory(setup, spec);
  }
  for (Fd& layer : openLayers(setup.instanceDir)) spec.layers.push_back(std::move(layer));
  return spec;
}

void fillMemory(VmSetup& setup, const Fd& memory) {
  readState(openBeneath(setup.instanceDir, kSuspendedName, O_RDONLY), *setup.key,
            setup.config.getKind().cStr(), setup.devices, memory);
  setup.key.reset();
  setup.devices.reset();
}

}  // namespace cove
