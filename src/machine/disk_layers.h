// The disk of an instance as files of its directory, and how it becomes the base of others.
//
//   disk            qcow2: what its machine writes
//   layers/NNNN     qcow2, for reading only: what the disk does not hold, the lowest first; below them is the
//                   image's root.img
//   disk.empty      qcow2 that was never written: what `disk` begins as, again and again
//
// A layer never changes again, so instances and snapshots share it by a hard link each: whoever goes takes
// nothing from the others, and the file system counts.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"

namespace cove {

inline constexpr const char* kDiskName = "disk";
inline constexpr const char* kLayersName = "layers";
inline constexpr const char* kEmptyDiskName = "disk.empty";
// QEMU opens all of them, and looks through all for what none has. One that is suspended may have one more,
// which goes when it goes on.
inline constexpr size_t kMostLayers = 48;

// Below `disk`; none where there is no directory of them.
std::vector<Fd> openLayers(const Fd& dir);
// Links the layers of `from` into a new directory of `to`.
void linkLayers(const Fd& from, const Fd& to);
// Nobody opens them for writing any more. Not allowed to a supervisor.
void protectLayers(const Fd& dir);
// What the instance's disk and its layers, shared or not, take of the host's, in bytes; 0 where they cannot
// be read.
uint64_t usedByDisk(const Fd& state, const std::string& instance) noexcept;
// Whether the disk was never written.
bool holdsNothing(const Fd& dir);
// An empty disk takes the place of the disk, whatever that holds; on the disk too.
void emptyDisk(const Fd& dir);
// The disk becomes a layer below an empty one: the old state or the new one, whenever it is killed. An Error
// where there are `most` layers. Whoever has the disk open goes on writing the layer.
void freezeDisk(const Fd& dir, size_t most = kMostLayers);
// The uppermost layer, O_RDWR, where nothing else shares it; none otherwise.
Fd openOwnLayer(const Fd& dir);
// That layer is the disk again, and what was the disk is gone.
void thawDisk(const Fd& dir);

}  // namespace cove
