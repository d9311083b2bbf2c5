// The guest's ssh host key.
#pragma once
#include <kj/async-unix.h>
#include <string>
#include <string_view>

namespace cove::agent {

// "ssh-ed25519 AAAA…", without a comment, or an Error: the contents of a .pub file, checked to the last bit
// of its grammar, since the host writes the line into its known_hosts.
std::string parsePublicKey(std::string_view text);

// The line of the ed25519 key in /etc/ssh, which is made when there is none. Empty where there is no ssh
// server.
kj::Promise<std::string> ensureSshHostKey(kj::UnixEventPort& port);

}  // namespace cove::agent
