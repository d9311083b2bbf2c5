// The kernel's random numbers, in a machine that goes on where others did too.
#pragma once
#include <cstddef>
#include <span>

#include "base/fd.h"

namespace cove::agent {

inline constexpr size_t kSeedBytes = 64;  // at least

// Makes the kernel's random numbers depend on the seed, from the next one on. `random`: /dev/urandom.
// An Error where the seed is too short, or the kernel does not take it.
void reseed(const Fd& random, std::span<const std::byte> seed);

}  // namespace cove::agent
