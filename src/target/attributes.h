// Files' types, modes, owners and times, between the system and messages.
#pragma once
#include <string>
#include <sys/stat.h>

#include "base/fd.h"
#include "rpc/target.capnp.h"

namespace cove {

void describe(const struct stat& st, rpc::Attributes::Builder attributes);
// With the link's target where `name` is a symlink in `directory`.
void describe(const Fd& directory, const std::string& name, const struct stat& st,
              rpc::FileInfo::Builder info);

// A copy of what a message asks for. Without `setOwner` the owner stays, and setuid and setgid are not given:
// they would be those of another owner.
struct WantedAttributes {
  WantedAttributes(rpc::Attributes::Reader attributes, bool setOwner);
  void applyTo(const Fd& file) const;                                    // a file or directory
  void applyToLink(const Fd& directory, const std::string& name) const;  // a symlink itself

  mode_t mode;
  uid_t uid;
  gid_t gid;
  int64_t modifiedNs;
  bool owner;
};

// The target of a symlink, as it is.
std::string readLink(const Fd& directory, const std::string& name);

}  // namespace cove
