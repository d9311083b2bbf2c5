// The files of a saved machine, and the seal by which we know our own.
//
//   _saved/seal.key            32 random bytes, 0600: of the seals below
//   _saved/KEY/                one saved machine; 0700, files 0400. KEY is the digest of what it was made of
//     memory, devices, disk    machine/saved_memory.h, QEMU's state, a qcow2 above the image
//     overlay                  an empty qcow2 as large as that: the disk of one that begins from it
//     saved.json               what it was made of, and the digests of these
//     seal                     BLAKE2b of saved.json with seal.key, in hexadecimal
//   _saved/.stage-XXXXXX/      one that is being made
//
// QEMU trusts what it resumes from as it trusts its own code. So a file that is not exactly what was sealed
// here is never given to it: what it gets is a copy in memory that nobody can change any more.
#pragma once
#include <string>

#include "machine/disk_layers.h"
#include "machine/saved_memory.h"
#include "machine/setup.h"

namespace cove {

// BLAKE2b of 256 bits, in hexadecimal.
std::string digestOf(std::string_view text);

inline constexpr const char* kSavedOverlay = "overlay";
inline constexpr const char* kSavedFiles[] = {kSavedMemory, kSavedDevices, kDiskName, kSavedOverlay};

// Takes a directory in which a machine was saved: digests, seal, modes. `madeOf` is a JSON text.
void sealSaved(const Fd& store, const Fd& dir, const std::string& madeOf);
// What the sealed description says that it was made of. An Error where the seal is not ours.
std::string readMadeOf(const Fd& store, const Fd& dir);

// Nothing that was sealed before is believed any more; the next seal has a new key.
void removeSealKey(const Fd& store);

// One that is loaded.
class LoadedMachine {
 public:
  // Opens what is there; the memory is empty until fill().
  LoadedMachine(const Fd& dir, uint32_t memoryMiB);
  // Reads and verifies all of it, which takes a while; the memory is shared with
  // a process that was forked for it. An Error names what is not as it was sealed.
  void fill(const Fd& store, const std::string& madeOf);
  // After fill(), in the process that goes on: from now on nobody can change it.
  void freeze();
  // Descriptors of its own for one machine.
  SavedMachine start() const;
  // The disk of one machine.
  void writeOverlay(const Fd& disk) const;
  uint64_t memoryBytes() const;  // that it takes on the host

 private:
  Fd dir_, memory_, devices_, disk_, overlay_;
};

}  // namespace cove
