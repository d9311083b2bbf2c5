// A machine that stands still, as a file: the state of its devices and its memory, encrypted, for that very
// machine, or a copy of it, to go on from.
//
//   "cove state 1\n", three zero bytes, salt of 32 bytes
//   libsodium's secretstream (XChaCha20-Poly1305) of kStateChunk bytes a message, the last one marked:
//     length and text of `kind`, length and bytes of the devices' state, the memory (saved_memory.h)
//
// All lengths are 64 bits, little endian. A hypervisor trusts what it resumes from as it trusts its own code,
// and nobody can write such a file who has not its key.
#pragma once
#include <array>
#include <string_view>

#include "base/fd.h"

namespace cove {

// In the directory of an instance that is suspended, and of one that is about to be.
inline constexpr const char *kSuspendedName = "suspended", *kNextStateName = "suspended.next";

using StateSalt = std::array<unsigned char, 32>;
// Of one file; wiped when it goes.
struct StateKey {
  StateKey() = default;
  StateKey(const StateKey&) = default;
  StateKey& operator=(const StateKey&) = default;
  ~StateKey();
  StateSalt salt{};
  std::array<unsigned char, 32> key{};
};
// For its way from one process to another: a sealed memory file.
Fd packKey(const StateKey& key);
StateKey unpackKey(const Fd& file);

// `kind`: what must be the same where it goes on, such as the processors. Both files are read from their
// beginning.
void writeState(const Fd& file, const StateKey& key, std::string_view kind, const Fd& devices,
                const Fd& memory);
StateSalt readSalt(const Fd& file);
// The instance in that directory has no state any more, nor half of one: on the disk too.
void forgetState(const Fd& dir);
// Fills both, empty files; the memory's has its size. An Error for what was not written with this key, is cut
// off or damaged, or is of another kind or size.
void readState(const Fd& file, const StateKey& key, std::string_view kind, const Fd& devices,
               const Fd& memory);

}  // namespace cove
