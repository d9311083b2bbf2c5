// What an instance is while nothing runs of it: its disk (machine/disk_layers.h), and its memory where it is
// suspended (machine/state_file.h); and copies of that. With its memory belong the layers alone: what is in
// the disk of one that is suspended was written by a resume that came to nothing.
//
//   snapshots/NAME/     layers, suspended, snapshot.json: hard links, for ever as they are
//   snapshots/.new-ID/  one that is being made
//   .apply-ID/          what the instance is about to become: layers, disk, suspended
//
// All of it blocks: for a child (runForked) or a few milliseconds.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "machine/state_file.h"

namespace cove {

bool isSuspended(const Fd& dir);
// It is so no more, and its disk is what it was when it was suspended.
void forgetSuspended(const Fd& dir);
StateSalt suspendedSalt(const Fd& dir);

// `stage`, a directory, gets what the instance is: its disk, unless it holds nothing that counts, becomes a
// layer of both.
void copyState(const Fd& dir, const Fd& stage);
// `to` gets what is in `from`, a snapshot's or a stage. What a supervisor may have open for writing still is
// copied where `own`.
void linkState(const Fd& from, const Fd& to, bool own = false);
// The instance in `dir` becomes what is in its directory `stage`, which has a disk and layers; `suspended`
// says whether its memory too. Once more, where it was killed, is the same.
void replaceState(const Fd& dir, const std::string& stage, bool suspended);

struct Snapshot {
  std::string name;
  int64_t createdAt = 0;    // seconds since the epoch
  std::string accelerator;  // of its memory
  bool memory = false;
  uint64_t size = 0;  // bytes that nothing else holds
};
inline constexpr const char* kSnapshotsName = "snapshots";
std::vector<Snapshot> listSnapshots(const Fd& dir);  // by time; what is not readable is left out
// An Error where there is none.
Snapshot findSnapshot(const Fd& dir, const std::string& name);
Fd openSnapshot(const Fd& dir, const std::string& name);
// A directory in snapshots/ for one that is to be made; its path below `dir`.
std::string makeSnapshotStage(const Fd& dir);
// Keeps it under its name, which nothing must have.
void placeSnapshot(const Fd& dir, const std::string& stage, const Snapshot& snapshot);
// Takes the name away from it; what is to be deleted then is at that path below `dir`.
std::string withdrawSnapshot(const Fd& dir, const std::string& name);

// Where a new state is prepared, below `dir`.
std::string makeApplyStage(const Fd& dir);
// An Error where the instance is half way to another state: replaceState() failed there.
void requireWhole(const Fd& dir);
// Removes what was being made when somebody was killed. Nothing may run of the instance, and no operation of
// its be recorded.
void clearStages(const Fd& dir);

}  // namespace cove
