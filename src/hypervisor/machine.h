// The driver seam: one virtual machine, whatever runs it. QEMU is the only driver (qemu.h).
#pragma once
#include <functional>
#include <kj/async.h>
#include <optional>
#include <string>

#include "base/child.h"
#include "base/fd.h"

namespace cove {

// What a machine is saved as, and what others start from: its memory, and the state of its devices. Its disk
// is saved by standing still.
struct SavedFiles {
  Fd memory;   // as large as the machine's memory
  Fd devices;  // in the driver's own format: code, as far as trust goes
};

// A machine that starts where a saved one stood. Nothing of the files can be changed through them.
struct SavedMachine {
  SavedFiles files;  // memory: sealed, mapped copy-on-write; devices: O_RDONLY
  Fd disk;           // qcow2, O_RDONLY: between the machine's own disk and `backing`
};

struct MachineSpec {
  std::string name;         // valid (isValidName)
  std::string program;      // of the driver
  std::string accelerator;  // "tcg" or "kvm"
  unsigned cpus = 1;
  unsigned memoryMiB = 512;
  bool ephemeral = false;  // what the guest flushes need not survive a crash of the host
  Fd disk;                 // qcow2 that cove made, O_RDWR
  Fd backing;              // raw, O_RDONLY: what the disk does not hold
  Fd kernel, initrd;
  std::string kernelArguments;
  Fd console;  // stream socket: the serial console
  Fd agent;    // stream socket: the port org.cove.agent
  Fd frames;   // datagram socket, a frame a datagram; unset: no network card
  Fd errors;   // the driver's complaints
  // One of them, or none: to be saved by save(), or to start from. The second begins standing still.
  std::optional<SavedFiles> saveTo;
  std::optional<SavedMachine> savedAs;
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
  // Stands still for good, and is in MachineSpec::saveTo when this is answered. What the disk was told before
  // is in its file.
  virtual kj::Promise<void> save() = 0;
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
