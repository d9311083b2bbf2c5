#include "hypervisor/qemu_command.h"

#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {
constexpr int kDiskSet = 1, kBackingSet = 2;
constexpr size_t kLayerSets = 3;  // and those that follow
// Translated code, MiB: QEMU's default is 1 GiB, filled at boot and kept. Booting Debian costs 20 s of
// processor time with 64 (all of them are used), 24 with 32 and 43 with 16, when everything is translated
// again and again.
constexpr int kTranslationMiB = 64;

// For what QEMU opens by name alone: a descriptor has one in /proc.
std::string nameOf(int fd) { return str("/proc/self/fd/", fd); }

// In QEMU's option values a comma is doubled.
std::string quoteOption(const std::string& text) {
  std::string result;
  for (char c : text) result.append(c == ',' ? 2 : 1, c);
  return result;
}

void addAccelerator(std::vector<std::string>& argv, const MachineSpec& spec) {
  if (spec.accelerator == "kvm") {
    argv.insert(argv.end(), {"-accel", "kvm", "-cpu", "host"});
  } else if (spec.accelerator == "tcg") {
    // Kernel and C library copy with "rep movsb" where the processor says that it is fast (erms, fsrm).
    // Translated, it goes byte by byte: without them the agent's port is six times faster.
    argv.insert(argv.end(),
                {"-accel", str("tcg,thread=multi,tb-size=", kTranslationMiB), "-cpu", "max,-erms,-fsrm"});
  } else {
    throw Error("cannot use the accelerator " + escapeForTerminal(spec.accelerator) + ": tcg or kvm");
  }
}

void addDisk(std::vector<std::string>& argv, const MachineSpec& spec) {
  // Locking is vm.lock's; QEMU would look for /dev/null to probe its own.
  // Explicit drivers at every level, and no backing name is read from the file: a guest writes what is in it.
  const char* flush = spec.ephemeral ? ",cache.no-flush=on" : "";
  argv.insert(
      argv.end(),
      {"-add-fd", str("fd=", kQemuDisk, ",set=", kDiskSet), "-add-fd",
       str("fd=", kQemuBacking, ",set=", kBackingSet), "-blockdev",
       str("driver=file,node-name=backing-file,read-only=on,locking=off,filename=/dev/fdset/", kBackingSet),
       "-blockdev", "driver=raw,node-name=backing,read-only=on,file=backing-file"});
  std::string below = "backing";
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    std::string layer = qemuLayerNode(i);
    size_t set = qemuLayerSet(i);
    // The file is opened for writing where the layer becomes the disk (mergeDown), if a descriptor for that
    // is in its set.
    argv.insert(argv.end(),
                {"-add-fd", str("fd=", kQemuLayers + i, ",set=", set), "-blockdev",
                 str("driver=file,node-name=", layer,
                     "-file,auto-read-only=on,discard=unmap,locking=off,filename=/dev/fdset/", set),
                 "-blockdev",
                 str("driver=qcow2,node-name=", layer, ",read-only=on,discard=unmap,file=", layer,
                     "-file,backing=", below)});
    below = layer;
  }
  argv.insert(
      argv.end(),
      {"-blockdev",
       str("driver=file,node-name=disk-file,discard=unmap,locking=off,filename=/dev/fdset/", kDiskSet, flush),
       "-blockdev",
       str("driver=qcow2,node-name=disk,file=disk-file,backing=", below, ",discard=unmap", flush), "-device",
       // A full disk of the host stops the machine, it is no error for the guest.
       "virtio-blk-pci,drive=disk,werror=stop,rerror=stop"});
}

void addChannels(std::vector<std::string>& argv, const MachineSpec& spec) {
  auto socket = [](const char* id, int fd) { return str("socket,id=", id, ",fd=", fd); };
  argv.insert(argv.end(),
              {"-chardev", socket("control", kQemuControl), "-mon", "chardev=control,mode=control",
               "-chardev", socket("console", kQemuConsole), "-serial", "chardev:console", "-chardev",
               socket("agent", kQemuAgent), "-device", "virtio-serial-pci,max_ports=2", "-device",
               "virtserialport,chardev=agent,name=org.cove.agent,nr=1"});
  if (!spec.frames) return;
  argv.insert(argv.end(), {"-netdev", str("dgram,id=net0,local.type=fd,local.str=", kQemuFrames), "-device",
                           "virtio-net-pci,netdev=net0,romfile="});
}

// Memory that a file holds.
void addMemory(std::vector<std::string>& argv, const MachineSpec& spec) {
  argv.insert(argv.end(), {"-object",
                           str("memory-backend-file,id=memory,size=", spec.memoryMiB, "M,mem-path=",
                               nameOf(kQemuMemory), ",share=", spec.copyOnWrite ? "off" : "on", ",dump=off"),
                           "-machine", "memory-backend=memory"});
  if (spec.devices) argv.insert(argv.end(), {"-S", "-incoming", "defer"});
}
}  // namespace

std::string qemuLayerNode(size_t index) { return str("layer", index); }
size_t qemuLayerSet(size_t index) { return kLayerSets + index; }

std::vector<std::string> qemuCommand(const MachineSpec& spec) {
  std::vector<std::string> argv = {
      spec.program, "-name", quoteOption(str("guest=", spec.name.c_str())), "-nodefaults", "-no-user-config",
      "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", "-machine",
      "q35,dump-guest-core=off,sata=off,smbus=off,usb=off,vmport=off,hpet=off,graphics=off", "-smp",
      str(spec.cpus), "-m", str(spec.memoryMiB), "-display", "none",
      // Poweroff, reboot and panic stop the machine, so that the supervisor decides and no output is lost.
      "-action", "reboot=shutdown,shutdown=pause,panic=pause"};
  addAccelerator(argv, spec);
  if (!spec.copyOnWrite)
    argv.insert(argv.end(), {"-kernel", nameOf(kQemuKernel), "-initrd", nameOf(kQemuInitrd), "-append",
                             spec.kernelArguments});
  addMemory(argv, spec);
  addDisk(argv, spec);
  addChannels(argv, spec);
  // A number that is another one whenever QEMU starts: a kernel that knows it draws anew where it goes on.
  argv.insert(argv.end(), {"-device", "virtio-rng-pci", "-device", "vmgenid,guid=auto"});
  return argv;
}

std::vector<Bind> qemuBinds(const std::string& program, const std::string& accelerator) {
  std::vector<Bind> binds = {{program}};
  // Below /usr, and below the prefix of a QEMU of one's own.
  std::string directory = program.substr(0, program.rfind('/'));
  std::string prefix = directory.substr(0, directory.rfind('/'));
  std::vector<std::string> places = {"/lib",
                                     "/lib64",
                                     "/usr/lib",
                                     "/usr/lib64",
                                     "/usr/share/qemu",
                                     "/usr/share/seabios",
                                     "/etc/ld.so.cache"};
  if (!prefix.empty() && prefix != "/usr")
    for (const char* part : {"/lib", "/lib64", "/share/qemu"}) places.push_back(prefix + part);
  for (const std::string& place : places)
    if (::access(place.c_str(), R_OK) == 0) binds.push_back({place});
  if (accelerator == "kvm") binds.push_back({"/dev/kvm", {}, true, true});
  return binds;
}

Identity qemuIdentity(const std::string& accelerator) {
  if (accelerator != "kvm") return ownIdentity();
  struct stat st = statOf(openFile("/dev/kvm", O_PATH), "/dev/kvm");
  return ownIdentity((st.st_mode & 0060) == 0060 ? st.st_gid : 0);
}

}  // namespace cove
