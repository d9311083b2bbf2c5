// ssh.config of an instance: for plain ssh, scp and rsync, with `ssh -F …/ssh.config NAME`.
//
// The host key is known through the agent's channel, so it is checked strictly. Nothing of the user's own
// configuration, agent or keys reaches the guest.
#pragma once
#include <string>

#include "base/fd.h"

namespace cove {

struct SshAccess {
  std::string name;       // of the instance
  std::string directory;  // its path
  std::string user;       // in the guest
  std::string hostKey;    // as the agent says: "ssh-ed25519 AAAA…"
  std::string program;    // absolute path of cove, for `cove ssh-proxy NAME`
};

// Writes `ssh.config` and `known_hosts` into `dir`. An Error where a value could be read as anything but
// itself; then nothing is written.
void writeSshConfig(const Fd& dir, const SshAccess& access);

// The key again, from its two words alone; an Error when it is no ed25519 key of the right form.
std::string checkedHostKey(const std::string& line);

}  // namespace cove
