// A guest that is saved, and what makes each machine that starts from it another one.
#pragma once
#include <cstddef>
#include <span>

#include "base/fd.h"

namespace cove::agent {

inline constexpr size_t kSeedBytes = 64;  // at least

// Everything that is not the agent stops running: init, services, sessions. What they wrote is on the disk.
// An Error where something does not stop, after letting go on what did.
void freezeGuest();
void thawGuest();

// Makes the kernel's random numbers depend on the seed, from the next one on. In a frozen guest nobody else
// draws any before that.
void addEntropy(std::span<const std::byte> seed);
// What names this machine or seeds its random numbers at the next boot: machine-id and systemd's random seed.
void renewIdentity();

}  // namespace cove::agent
