// A guest that is saved, and what makes each machine that starts from it another one.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/child.h"
#include "base/fd.h"

namespace cove::agent {

// Everything that is not the agent stands still: init, services, sessions. What they wrote is on the disk.
//
// The machine goes on in a QEMU that has translated nothing yet, and in which every system call costs a
// multiple. So what can be done before is done here, and a process of the agent's own runs commands over and
// over (warmUp()): on another processor, while the agent is told what it is to be, the translator learns
// there what a command needs.
class Standstill {
 public:
  // An Error where something does not stop, after letting go on what did.
  Standstill();
  Standstill(const Standstill&) = delete;
  ~Standstill();

  // reseed() of the kernel's random numbers; nobody but warmUp() draws any before.
  void addEntropy(std::span<const std::byte> seed);
  // Whether it was another instance when it stood still.
  bool isAnother(std::string_view id) const;
  // What names this machine or seeds its random numbers at the next boot: machine-id, systemd's random seed,
  // ssh host keys.
  void become(std::string_view id);
  void setHostName(const std::string& name);
  // Lets everything go on. Who warmed up ends by himself, and is to be reaped.
  std::optional<Child> end();

 private:
  void freeze(const std::string& group);

  Fd random_, instance_, machineId_, randomSeed_, hostname_,
      hosts_;  // open: their paths cost more than their contents
  std::vector<Fd> freezers_;
  std::optional<Child> warming_;
};

// Whether this machine will stand still and be saved: the supervisor says so on the kernel's command line.
bool isToBeSaved();
// journald names its directory by the machine-id, and journalctl reads no other's: but it does so below /run.
void keepJournalInMemory();

// Runs /bin/true as a client would have it run, again and again, with the lowest priority. Never returns.
[[noreturn]] void warmUp();
inline constexpr const char* kWarmUpName = "@warm-up";  // argv[0] of a process that does it

}  // namespace cove::agent
