#include "instance/instance_state.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <linux/fs.h>
#include <nlohmann/json.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/suggest.h"
#include "base/text.h"
#include "base/uuid.h"
#include "machine/disk_layers.h"

namespace cove {

namespace {
constexpr const char* kDescription = "snapshot.json";
constexpr const char* kApplyPrefix = ".apply-";
constexpr const char* kOldLayers = "layers.old";
constexpr size_t kLargestDescription = 4096;

Fd openDirectory(const Fd& dir, const std::string& path) {
  return openBeneath(dir, path, O_RDONLY | O_DIRECTORY);
}

void flush(const Fd& dir) { check(::fsync(dir.get()), "flush", "the instance's files"); }

void move(const Fd& from, const std::string& name, const Fd& to, const std::string& as) {
  check(::renameat(from.get(), name.c_str(), to.get(), as.c_str()), "move", name);
}

void removeFile(const Fd& dir, const char* name) {
  if (::unlinkat(dir.get(), name, 0) < 0 && errno != ENOENT) throw sysError("remove", name);
}

// Its writer may have been taken over by a guest: nothing is believed of it but its contents.
Fd openState(const Fd& dir) {
  Fd file = openBeneath(dir, kSuspendedName, O_RDONLY | O_NONBLOCK);
  if (!S_ISREG(statOf(file).st_mode)) throw Error("its saved state is no file");
  return file;
}

void copyFile(const Fd& from, const Fd& to) {
  if (::ioctl(to.get(), FICLONE, from.get()) == 0) return;
  for (;;) {
    ssize_t n = check(::copy_file_range(from.get(), nullptr, to.get(), nullptr, 1 << 30, 0), "copy",
                      "the machine's memory");
    if (n == 0) break;
  }
  check(::fsync(to.get()), "flush", "the machine's memory");
}

uint64_t ownSize(const Fd& dir) {
  uint64_t size = 0;
  for (const std::string& name : entriesOf(dir)) {
    struct stat st;
    if (::fstatat(dir.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0) continue;
    if (S_ISDIR(st.st_mode)) size += ownSize(openDirectory(dir, name));
    if (S_ISREG(st.st_mode) && st.st_nlink == 1) size += static_cast<uint64_t>(st.st_blocks) * 512;
  }
  return size;
}

Snapshot readSnapshot(const Fd& snapshots, const std::string& name) {
  Fd dir = openDirectory(snapshots, name);
  auto json = nlohmann::json::parse(
      readAll(openBeneath(dir, kDescription, O_RDONLY), kLargestDescription, kDescription));
  return {name, json.at("createdAt"), json.at("accelerator"), isSuspended(dir), ownSize(dir)};
}
}  // namespace

bool isSuspended(const Fd& dir) { return isThere(dir, kSuspendedName); }

void forgetSuspended(const Fd& dir) {
  emptyDisk(dir);
  forgetState(dir);
  if (openOwnLayer(dir)) thawDisk(dir);
}

StateSalt suspendedSalt(const Fd& dir) { return readSalt(openState(dir)); }

void copyState(const Fd& dir, const Fd& stage) {
  if (!isSuspended(dir) && !holdsNothing(dir)) freezeDisk(dir);
  protectLayers(dir);
  linkState(dir, stage);
}

void linkState(const Fd& from, const Fd& to, bool own) {
  linkLayers(from, to);
  if (isSuspended(from)) {
    Fd state = openState(from);
    if (own)
      copyFile(state, openBeneath(to, kSuspendedName, O_WRONLY | O_CREAT | O_EXCL, 0400));
    else
      check(::linkat(from.get(), kSuspendedName, to.get(), kSuspendedName, 0), "share",
            "the machine's memory");
  }
  flush(to);
}

void replaceState(const Fd& dir, const std::string& stage, bool suspended) {
  Fd from = openDirectory(dir, stage);
  if (isThere(from, kLayersName)) {
    if (isThere(dir, kLayersName)) move(dir, kLayersName, from, kOldLayers);
    move(from, kLayersName, dir, kLayersName);
  }
  if (isThere(from, kDiskName)) move(from, kDiskName, dir, kDiskName);
  if (!suspended)
    removeFile(dir, kSuspendedName);
  else if (isSuspended(from))
    move(from, kSuspendedName, dir, kSuspendedName);
  flush(from);
  flush(dir);
}

std::vector<Snapshot> listSnapshots(const Fd& dir) {
  std::vector<Snapshot> found;
  if (!isThere(dir, kSnapshotsName)) return found;
  Fd snapshots = openDirectory(dir, kSnapshotsName);
  for (const std::string& name : entriesOf(snapshots)) {
    if (!isValidName(name)) continue;
    try {
      found.push_back(readSnapshot(snapshots, name));
    } catch (const std::exception&) {
      continue;  // not one of ours
    }
  }
  std::sort(found.begin(), found.end(), [](const Snapshot& a, const Snapshot& b) {
    return std::tie(a.createdAt, a.name) < std::tie(b.createdAt, b.name);
  });
  return found;
}

Snapshot findSnapshot(const Fd& dir, const std::string& name) {
  std::vector<std::string> names;
  for (Snapshot& each : listSnapshots(dir)) {
    if (each.name == name) return each;
    names.push_back(each.name);
  }
  std::string meant = didYouMean(name, names);
  throw Error("there is no snapshot " + escapeForTerminal(name.substr(0, 64))).hint(meant);
}

Fd openSnapshot(const Fd& dir, const std::string& name) {
  findSnapshot(dir, name);
  return openDirectory(dir, str(kSnapshotsName, "/", name));
}

std::string makeSnapshotStage(const Fd& dir) {
  if (::mkdirat(dir.get(), kSnapshotsName, 0700) < 0 && errno != EEXIST)
    throw sysError("make the directory", kSnapshotsName);
  std::string stage = str(kSnapshotsName, "/.new-", newUuid());
  check(::mkdirat(dir.get(), stage.c_str(), 0700), "make the directory", stage);
  return stage;
}

void placeSnapshot(const Fd& dir, const std::string& stage, const Snapshot& snapshot) {
  Fd made = openDirectory(dir, stage), snapshots = openDirectory(dir, kSnapshotsName);
  std::string text =
      nlohmann::json{{"createdAt", snapshot.createdAt}, {"accelerator", snapshot.accelerator}}.dump();
  writeFileAtomic(made, kDescription, text, 0400);
  flush(made);
  check(::renameat2(dir.get(), stage.c_str(), snapshots.get(), snapshot.name.c_str(), RENAME_NOREPLACE),
        "make", "the snapshot " + snapshot.name);
  flush(snapshots);
  flush(dir);
}

std::string withdrawSnapshot(const Fd& dir, const std::string& name) {
  findSnapshot(dir, name);
  std::string gone = str(kSnapshotsName, "/.old-", newUuid());
  move(dir, str(kSnapshotsName, "/", name), dir, gone);
  flush(openDirectory(dir, kSnapshotsName));
  return gone;
}

std::string makeApplyStage(const Fd& dir) {
  std::string stage = kApplyPrefix + newUuid();
  check(::mkdirat(dir.get(), stage.c_str(), 0700), "make the directory", stage);
  return stage;
}

void requireWhole(const Fd& dir) {
  for (const std::string& name : entriesOf(dir))
    if (name.starts_with(kApplyPrefix))
      throw Error("it is half way to a snapshot").hint("The next daemon finishes that:\n  cove daemon stop");
}

void clearStages(const Fd& dir) {
  removeFile(dir, kNextStateName);
  for (const std::string& name : entriesOf(dir))
    if (name.starts_with(kApplyPrefix)) removeTree(dir, name);
  if (!isThere(dir, kSnapshotsName)) return;
  Fd snapshots = openDirectory(dir, kSnapshotsName);
  for (const std::string& name : entriesOf(snapshots))
    if (name.starts_with(".")) removeTree(snapshots, name);
}

}  // namespace cove
