// The content-addressed store of images: one directory each, named by the digest of its files.
//
//   _images/DIGEST/{root.img,kernel,modules.cpio,image.json}   never changes, 0400, directory 0700
//   _images/.stage-XXXXXX/    an image in the making; locked by its builder (flock on the directory)
//   _images/.gone-XXXXXX/     one that is being deleted
//   _images/KEY.lock          held while the image of this recipe is built
//   _images/KEY.log           what the last build of this recipe printed
//
// Whoever uses the store next removes what a killed builder left. All names are followed by descriptor; no
// symlink is followed.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/lock.h"
#include "image/request.h"

namespace cove::image {

struct Image {
  std::string digest;
  Manifest manifest;
  uint64_t size = 0;  // bytes on the host's disk
};

// A directory that an image is made in. Removed with all that it holds unless it was committed.
class Staging {
 public:
  Staging(Staging&&) = default;
  Staging& operator=(Staging&&) = delete;
  ~Staging();
  const Fd& dir() const { return dir_; }

 private:
  friend class Store;
  Staging(Fd store, std::string name, Fd dir)
      : store_(std::move(store)), name_(std::move(name)), dir_(std::move(dir)) {}
  Fd store_;
  std::string name_;
  Fd dir_;
};

class Store {
 public:
  // `images` is `_images`. Removes leftovers.
  explicit Store(Fd images);

  // Newest first. A directory without a readable image.json is no image.
  std::vector<Image> list() const;
  // The newest image of a recipe (Recipe::key()).
  std::optional<Image> find(const std::string& recipeKey) const;
  std::optional<Image> get(const std::string& digest) const;
  // The directory, O_RDONLY. An Error when there is none.
  Fd openDir(const std::string& digest) const;
  // Whoever has it open keeps what he opened. The caller knows that no instance needs it. Returns the bytes
  // freed.
  uint64_t remove(const std::string& digest);

  // Several processes may build different recipes at once. nullopt: another builds this one now.
  std::optional<Lock> lockRecipe(const std::string& recipeKey) const;
  Staging stage();
  // Moves it into place under the name that its file `digest` holds. The same image twice is one.
  Image commit(Staging staging);
  // Truncated, 0600.
  Fd openLog(const std::string& recipeKey) const;
  // Bytes that a plain user can still write there.
  uint64_t freeBytes() const;

 private:
  void removeLeftovers();
  Fd images_;
};

}  // namespace cove::image
