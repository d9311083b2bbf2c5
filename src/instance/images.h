// Images as instances use them: made when first needed, kept while used.
#pragma once
#include <kj/async-io.h>
#include <set>

#include "image/build.h"
#include "image/store.h"
#include "instance/activity.h"
#include "instance/records.h"

namespace cove {

class Images {
 public:
  // `state` is the state directory; its _images is made when missing.
  Images(kj::AsyncIoContext& io, const StateDir& state, const Records& records, Activity& activity);

  // The image of an operating system; built where there is none, once for all who wait. Throws for an unknown
  // name.
  co::Co<image::Image> ensure(image::Os os, image::ProgressCallback progress);
  // Built anew. Instances keep the image that they were made from.
  co::Co<image::Image> pull(image::Os os, image::ProgressCallback progress);

  std::vector<image::Image> list() const { return store_.list(); }
  std::vector<std::string> usersOf(const std::string& digest) const { return records_.usersOf(digest); }
  Fd openDir(const std::string& digest) const { return store_.openDir(digest); }
  std::optional<image::Image> get(const std::string& digest) const { return store_.get(digest); }
  // Refused while an instance uses it, or is just being made from it.
  void remove(const std::string& digest);

  // Keeps an image from being deleted while an instance is made from it.
  class Pin {
   public:
    Pin(Images& images, std::string digest) : images_(images), place_(images.pinned_.insert(digest)) {}
    Pin(const Pin&) = delete;
    ~Pin() { images_.pinned_.erase(place_); }

   private:
    Images& images_;
    std::multiset<std::string>::iterator place_;
  };

 private:
  image::BuildOptions options() const;
  kj::AsyncIoContext& io_;
  const StateDir& state_;
  const Records& records_;
  Activity& activity_;
  image::Store store_;
  std::multiset<std::string> pinned_;
};

}  // namespace cove
