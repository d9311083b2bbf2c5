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
  if (names.size() > kMostLayers) throw Error("the disk has too many layers");
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

void freezeDisk(const Fd& dir, const Fd& stage) {
  std::vector<std::string> names = layerNames(dir);
  if (names.size() >= kMostLayers) throw tooManyLayers();
  if (::mkdirat(dir.get(), kLayersName, 0700) < 0 && errno != EEXIST)
    throw sysError("make the directory", kLayersName);
  Fd layers = openLayerDir(dir);
  std::string layer = numberName(names.empty() ? 1 : std::stoul(names.back()) + 1);
  if (::unlinkat(layers.get(), layer.c_str(), 0) < 0 && errno != ENOENT) throw sysError("remove", layer);
  link(dir, kDiskName, layers, layer);
  check(::fsync(layers.get()), "flush", kLayersName);
  check(::renameat(stage.get(), kDiskName, dir.get(), kDiskName), "put in place", kDiskName);
  check(::fsync(dir.get()), "flush", "the directory");
}

}  // namespace cove
