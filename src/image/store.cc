#include "image/store.h"

#include <algorithm>
#include <cerrno>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/text.h"
#include "base/uuid.h"
#include "image/files.h"

namespace cove::image {

namespace {
constexpr const char* kStagePrefix = ".stage-";
constexpr const char* kGonePrefix = ".gone-";
constexpr size_t kLargestManifest = 4 << 20;

bool startsWith(const std::string& text, const char* start) { return text.rfind(start, 0) == 0; }

std::string keyFile(const std::string& key, const char* suffix) {
  if (key.empty() || key.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw Error("cannot use the recipe key " + escapeForTerminal(key));
  return key + suffix;
}

Error noSuchImage(const std::string& digest) {
  return Error("there is no image " + escapeForTerminal(digest))
      .hint("See which there are:\n  cove image list");
}
}  // namespace

Staging::~Staging() {
  if (!store_) return;  // moved
  try {
    removeTree(store_, name_);
  } catch (const Error&) {
    // Whoever uses the store next tries again: the lock goes with us.
  }
}

Store::Store(Fd images) : images_(std::move(images)) { removeLeftovers(); }

// What a builder that was killed in between left: its lock went with it. One of a living builder stays.
void Store::removeLeftovers() {
  for (const std::string& name : entriesOf(images_)) {
    bool stage = startsWith(name, kStagePrefix);
    if (!stage && !startsWith(name, kGonePrefix)) continue;
    int fd = ::openat(images_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) continue;
    Fd dir(fd, "open", name);
    if (::flock(dir.get(), LOCK_EX | LOCK_NB) < 0) continue;
    try {
      removeTree(images_, name);
    } catch (const Error&) {
      // It costs space, nothing else: no reason to be without images.
    }
  }
}

std::vector<Image> Store::list() const {
  std::vector<Image> images;
  for (const std::string& name : entriesOf(images_))
    if (auto image = get(name)) images.push_back(std::move(*image));
  std::sort(images.begin(), images.end(), [](const Image& a, const Image& b) {
    return a.manifest.builtAt != b.manifest.builtAt ? a.manifest.builtAt > b.manifest.builtAt
                                                    : a.digest < b.digest;
  });
  return images;
}

std::optional<Image> Store::find(const std::string& recipeKey) const {
  for (Image& image : list())
    if (image.manifest.recipeKey == recipeKey) return std::move(image);
  return std::nullopt;
}

std::optional<Image> Store::get(const std::string& digest) const {
  if (!isDigest(digest)) return std::nullopt;
  try {
    Fd dir = openDir(digest);
    Fd manifest = openBeneath(dir, kManifestName, O_RDONLY);
    return Image{digest, Manifest::decode(readAll(manifest, kLargestManifest, kManifestName)), sizeOf(dir)};
  } catch (const Error&) {
    return std::nullopt;
  }
}

Fd Store::openDir(const std::string& digest) const {
  if (!isDigest(digest)) throw noSuchImage(digest);
  int fd = ::openat(images_.get(), digest.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) throw noSuchImage(digest);
  return Fd(fd, "open", digest);
}

uint64_t Store::remove(const std::string& digest) {
  uint64_t size = sizeOf(openDir(digest));
  std::string gone = kGonePrefix + newUuid();
  check(::renameat(images_.get(), digest.c_str(), images_.get(), gone.c_str()), "delete", digest);
  check(::fsync(images_.get()), "flush", "the image store");
  removeTree(images_, gone);
  return size;
}

std::optional<Lock> Store::lockRecipe(const std::string& recipeKey) const {
  return Lock::take(images_, keyFile(recipeKey, ".lock"));
}

Staging Store::stage() {
  // Whoever cleans up between mkdir and flock takes the directory away; then another one is made.
  for (;;) {
    std::string name = kStagePrefix + newUuid();
    check(::mkdirat(images_.get(), name.c_str(), 0700), "make", "a directory for the new image");
    int fd = ::openat(images_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) continue;
    Fd dir(fd, "open", name);
    check(::flock(dir.get(), LOCK_EX), "lock", name);
    struct stat st;
    if (::fstatat(images_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0)
      return {images_.duplicate(), name, std::move(dir)};
  }
}

Image Store::commit(Staging staging) {
  std::string digest = readAll(openBeneath(staging.dir_, kDigestName, O_RDONLY), 64, kDigestName);
  if (!isDigest(digest)) throw Error("cannot store the new image: it has no digest");
  check(::unlinkat(staging.dir_.get(), kDigestName, 0), "remove", kDigestName);
  check(::fchmod(staging.dir_.get(), 0700), "protect", "the new image");
  check(::fsync(staging.dir_.get()), "flush", "the new image");
  // A directory replaces only an empty one, so that one that is there already stays.
  if (::renameat(images_.get(), staging.name_.c_str(), images_.get(), digest.c_str()) == 0)
    staging.store_.reset();
  else if (errno != ENOTEMPTY && errno != EEXIST)
    throw sysError("store", "the new image");
  check(::fsync(images_.get()), "flush", "the image store");
  auto image = get(digest);
  if (!image) throw Error("cannot read the new image " + digest);
  return std::move(*image);
}

Fd Store::openLog(const std::string& recipeKey) const {
  return openAt(images_, keyFile(recipeKey, ".log"), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW,
                0600);
}

uint64_t Store::freeBytes() const {
  struct statvfs st;
  check(::fstatvfs(images_.get(), &st), "examine", "the image store's file system");
  return static_cast<uint64_t>(st.f_bavail) * st.f_frsize;
}

}  // namespace cove::image
