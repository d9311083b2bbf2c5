#include "machine/disk_layers.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {
constexpr size_t kDigits = 4;
constexpr size_t kLargestEmptyDisk = 8 << 20;  // 256 KiB, and 2 MiB for each 128 TiB
constexpr const char* kNextDiskName = "disk.next";

std::string numberName(size_t number) {
  std::string digits = std::to_string(number);
  return std::string(kDigits - digits.size(), '0') + digits;
}

Fd openLayerDir(const Fd& dir) { return openBeneath(dir, kLayersName, O_RDONLY | O_DIRECTORY); }

// A layer that is the disk still: a freeze came no further.
bool isDisk(const Fd& dir, const Fd& layer) {
  struct stat disk;
  if (::fstatat(dir.get(), kDiskName, &disk, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno == ENOENT) return false;  // a snapshot's
    throw sysError("look for", kDiskName);
  }
  struct stat st = statOf(layer, "a layer");
  return st.st_dev == disk.st_dev && st.st_ino == disk.st_ino;
}

std::vector<std::string> layerNames(const Fd& dir) {
  if (!isThere(dir, kLayersName)) return {};
  Fd layers = openLayerDir(dir);
  std::vector<std::string> names = entriesOf(layers);
  std::sort(names.begin(), names.end());
  if (!names.empty() && isDisk(dir, openBeneath(layers, names.back(), O_RDONLY | O_NONBLOCK)))
    names.pop_back();
  if (names.size() > kMostLayers + 1) throw Error("the disk has too many layers");
  return names;
}

Error tooManyLayers() {
  return Error(str("the disk has ", kMostLayers,
                   " layers, one of each snapshot and copy, and can have no more"))
      .hint("Copy what is needed of it into a new instance:\n  cove copy");
}

// Whoever made it may have been taken over by a guest.
void link(const Fd& from, const std::string& name, const Fd& to, const std::string& as) {
  struct stat st;
  check(::fstatat(from.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW), "share", name);
  if (!S_ISREG(st.st_mode)) throw Error(str("cannot share ", name, ": it is no file"));
  check(::linkat(from.get(), name.c_str(), to.get(), as.c_str(), 0), "share", name);
}
}  // namespace

std::vector<Fd> openLayers(const Fd& dir) {
  std::vector<Fd> layers;
  for (const std::string& name : layerNames(dir))
    layers.push_back(openBeneath(dir, str(kLayersName, "/", name), O_RDONLY | O_NONBLOCK));
  return layers;
}

void linkLayers(const Fd& from, const Fd& to) {
  std::vector<std::string> names = layerNames(from);
  check(::mkdirat(to.get(), kLayersName, 0700), "make the directory", kLayersName);
  Fd layers = openLayerDir(to);
  for (const std::string& name : names) link(from, str(kLayersName, "/", name), layers, name);
  check(::fsync(layers.get()), "flush", kLayersName);
}

void protectLayers(const Fd& dir) {
  for (const Fd& layer : openLayers(dir))
    check(::fchmod(layer.get(), 0400), "protect", "a layer of the disk");
}

uint64_t usedByDisk(const Fd& state, const std::string& instance) noexcept {
  try {
    Fd dir = openBeneath(state, instance, O_RDONLY | O_DIRECTORY);
    struct stat disk;
    check(::fstatat(dir.get(), kDiskName, &disk, AT_SYMLINK_NOFOLLOW), "look for", kDiskName);
    uint64_t layers = isThere(dir, kLayersName) ? sizeOf(openLayerDir(dir)) : 0;
    return static_cast<uint64_t>(disk.st_blocks) * 512 + layers;
  } catch (const std::exception&) {
    return 0;
  }
}

bool holdsNothing(const Fd& dir) {
  Fd disk = openBeneath(dir, kDiskName, O_RDONLY), empty = openBeneath(dir, kEmptyDiskName, O_RDONLY);
  if (statOf(disk).st_size != statOf(empty).st_size) return false;
  return readAll(disk, kLargestEmptyDisk, kDiskName) == readAll(empty, kLargestEmptyDisk, kEmptyDiskName);
}

// As writeFileAtomic(), but that sets a mode, which a supervisor cannot.
void emptyDisk(const Fd& dir) {
  std::string bytes = readAll(openBeneath(dir, kEmptyDiskName, O_RDONLY), kLargestEmptyDisk, kEmptyDiskName);
  if (::unlinkat(dir.get(), kNextDiskName, 0) < 0 && errno != ENOENT) throw sysError("remove", kNextDiskName);
  Fd next = openBeneath(dir, kNextDiskName, O_WRONLY | O_CREAT | O_EXCL, 0600);
  writeAll(next, bytes, kNextDiskName);
  check(::fsync(next.get()), "flush", kNextDiskName);
  check(::renameat(dir.get(), kNextDiskName, dir.get(), kDiskName), "put in place", kDiskName);
  check(::fsync(dir.get()), "flush", "the directory");
}

void freezeDisk(const Fd& dir, size_t most) {
  std::vector<std::string> names = layerNames(dir);
  if (names.size() >= most) throw tooManyLayers();
  if (::mkdirat(dir.get(), kLayersName, 0700) < 0 && errno != EEXIST)
    throw sysError("make the directory", kLayersName);
  Fd layers = openLayerDir(dir);
  std::string layer = numberName(names.empty() ? 1 : std::stoul(names.back()) + 1);
  if (::unlinkat(layers.get(), layer.c_str(), 0) < 0 && errno != ENOENT) throw sysError("remove", layer);
  link(dir, kDiskName, layers, layer);
  check(::fsync(layers.get()), "flush", kLayersName);
  emptyDisk(dir);
}

Fd openOwnLayer(const Fd& dir) {
  std::vector<std::string> names = layerNames(dir);
  if (names.empty()) return {};
  std::string name = str(kLayersName, "/", names.back());
  struct stat st = statOf(openBeneath(dir, name, O_RDONLY | O_NONBLOCK), "a layer");
  // One that others had, and have no more, may still be protected.
  if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || (st.st_mode & 0200) == 0) return {};
  return openBeneath(dir, name, O_RDWR);
}

void thawDisk(const Fd& dir) {
  Fd layers = openLayerDir(dir);
  std::string layer = layerNames(dir).back();
  check(::renameat(layers.get(), layer.c_str(), dir.get(), kDiskName), "put in place", kDiskName);
  check(::fsync(layers.get()), "flush", kLayersName);
  check(::fsync(dir.get()), "flush", "the directory");
}

}  // namespace cove
