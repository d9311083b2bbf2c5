// The driver seam: one virtual machine, whatever runs it. QEMU is the only driver (qemu.h).
#pragma once
#include <functional>
#include <kj/async.h>
#include <string>
#include <vector>

#include "base/child.h"
#include "base/fd.h"

namespace cove {

struct MachineSpec {
  std::string name;         // valid (isValidName)
  std::string program;      // of the driver
  std::string accelerator;  // "tcg" or "kvm"
  unsigned cpus = 1;
  unsigned memoryMiB = 512;
  bool ephemeral = false;  // what the guest flushes need not survive a crash of the host
  Fd disk;                 // qcow2 that cove made, O_RDWR
  std::vector<Fd> layers;  // the same, O_RDONLY, the lowest first: what the disk does not hold
  Fd backing;              // raw, O_RDONLY: what none of them holds
  Fd memory;               // a memory file as large as memoryMiB: the machine's memory
  // Others have it too, and it is sealed: a page that the machine writes is copied first. Such a machine
  // cannot be saved.
  bool copyOnWrite = false;
  Fd devices;  // O_RDONLY, what save() wrote: it begins standing still where that one stood; unset: it boots
  // Of one that begins from `devices`: when those and the memory are as they should be.
  kj::Promise<void> filled = kj::READY_NOW;
  // Memory files. Unset where it is copyOnWrite: a driver keeps a copy of the kernel for every machine. Such
  // a one cannot be restarted.
  Fd kernel, initrd;
  std::string kernelArguments;
  Fd console;  // stream socket: the serial console
  Fd agent;    // stream socket: the port org.cove.agent
  Fd frames;   // datagram socket, a frame a datagram; unset: no network card
  Fd errors;   // the driver's complaints
};

struct MachineEvent {
  enum class Kind {
    kPoweredOff,  // stands still; quit() ends it
    kRebooting,   // stands still; restart() goes on
    kPanicked,    // as the guest itself reports it
    kDiskFull,    // stands still; resume() tries again
    kDiskFailed,  // another error of the host's disk; stands still
  };
  Kind kind;
  std::string detail{};
};

class Machine {
 public:
  virtual ~Machine() noexcept(false) {}  // kills it
  virtual std::string version() const = 0;
  virtual ProcessId process() const = 0;
  virtual kj::Promise<void> resume() = 0;
  virtual kj::Promise<void> pause() = 0;
  // Of a machine that is paused: when this is answered, the state of its devices is in `devices`, in the
  // driver's own format (code, as far as trust goes), its memory in MachineSpec::memory, and what its disk
  // was told in the disk's file. All of that stays so until resume().
  virtual kj::Promise<void> save(Fd devices) = 0;
  // Of a machine that is paused: the disk becomes the uppermost layer, and what is written from now on goes
  // to `disk`, an empty qcow2.
  virtual kj::Promise<void> continueOn(Fd disk) = 0;
  // Of a machine that is paused and has the disk that it began with: what that holds goes into the uppermost
  // layer, `layer`, O_RDWR, which is the disk from then on. Returns why not, where nothing has changed. An
  // Error: nobody knows which of them it would write to, so it must not go on.
  virtual kj::Promise<std::string> mergeDown(Fd layer) = 0;
  virtual kj::Promise<void> restart() = 0;
  virtual kj::Promise<void> pressPowerButton() = 0;
  virtual kj::Promise<void> quit() = 0;
  virtual void kill() = 0;
  // How the driver's process ended. It is reaped then.
  virtual kj::Promise<Ended> onEnd() = 0;
  // Rejected when the driver can no longer be talked to (it broke its protocol, or is ending).
  virtual kj::Promise<void> onBroken() = 0;
};

using MachineEventHandler = std::function<void(MachineEvent)>;

}  // namespace cove
