// The disk of an instance as files of its directory, and how it becomes the base of others.
//
//   disk            qcow2: what its machine writes
//   layers/NNNN     qcow2, for reading only: what the disk does not hold, the lowest first; below them is the
//                   image's root.img
//
// A layer never changes again, so instances and snapshots share it by a hard link each: whoever goes takes
// nothing from the others, and the file system counts.
#pragma once
#include <string>
#include <vector>

#include "base/fd.h"

namespace cove {

inline constexpr const char* kDiskName = "disk";
inline constexpr const char* kLayersName = "layers";
// QEMU opens all of them, and looks through all for what none has.
inline constexpr size_t kMostLayers = 48;

// Below `disk`; none where there is no directory of them.
std::vector<Fd> openLayers(const Fd& dir);
// Links the layers of `from` into a new directory of `to`.
void linkLayers(const Fd& from, const Fd& to);
// Nobody opens them for writing any more. Not allowed to a supervisor.
void protectLayers(const Fd& dir);
// The disk becomes a layer, and that of `stage`, an empty one, takes its place: the old state or the new one,
// whenever it is killed. An Error where there are kMostLayers. Whoever has the disk open goes on writing the
// layer.
void freezeDisk(const Fd& dir, const Fd& stage);

}  // namespace cove
