// The file system that a contained process sees: a tmpfs with chosen bind mounts and private files.
#pragma once
#include "base/contain.h"

namespace cove {

// In two steps, because the host's paths are opened as the caller and the tmpfs is filled as the new
// identity.
class ContainedRoot {
 public:
  // Clones what the binds name. Needs CAP_SYS_ADMIN over the mount namespace.
  explicit ContainedRoot(const Containment& containment);
  // Builds the root and makes it "/"; the host's tree is gone from this mount namespace.
  void enter();

 private:
  struct Source {
    const Bind* bind;
    Fd tree;             // a detached mount, unless it is a symlink
    std::string link{};  // its target
    bool directory = false;
  };
  void mountSource(const Fd& root, const Source& source);

  const Containment& containment_;
  std::vector<Source> sources_;
};

}  // namespace cove
