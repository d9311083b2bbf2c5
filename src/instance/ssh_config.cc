#include "instance/ssh_config.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {

constexpr std::string_view kKeyType = "ssh-ed25519 ";
// 4 + 11 ("ssh-ed25519") + 4 + 32 bytes in base64.
constexpr size_t kKeyLength = 68;
constexpr std::string_view kKeyPrefix = "AAAAC3NzaC1lZDI1NTE5AAAAI";  // the first 18 of those bytes

bool isAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// A path for ssh_config(5): quoted it may hold blanks; its own quotes, percent tokens, ${} and the shell's
// characters of ProxyCommand have no safe form.
std::string path(const std::string& text) {
  bool plain = !text.empty() && text[0] == '/' && std::all_of(text.begin(), text.end(), [](char c) {
    return isAlphanumeric(c) || std::string_view("/._-+@:, ").find(c) != std::string_view::npos;
  });
  if (!plain) throw Error("cannot write ssh.config: no safe form for the path " + escapeForTerminal(text));
  return text;
}

}  // namespace

std::string checkedHostKey(const std::string& line) {
  size_t end = std::min(line.find(' ', kKeyType.size()), line.size());
  std::string key = line.substr(0, kKeyType.size()) == kKeyType
                        ? line.substr(kKeyType.size(), end - kKeyType.size())
                        : std::string();
  bool valid =
      key.size() == kKeyLength && key.substr(0, kKeyPrefix.size()) == kKeyPrefix &&
      std::all_of(key.begin(), key.end(), [](char c) { return isAlphanumeric(c) || c == '+' || c == '/'; });
  if (!valid) throw Error("the guest's SSH host key is not valid: " + escapeForTerminal(line.substr(0, 100)));
  return str(kKeyType, key);
}

void writeSshConfig(const Fd& dir, const SshAccess& access) {
  if (!isValidName(access.name)) throw Error("cannot write ssh.config: not a valid name: " + access.name);
  std::string directory = path(access.directory), program = path(access.program);
  std::string alias = "cove-" + access.name;
  std::string hosts = str(alias, " ", checkedHostKey(access.hostKey), "\n");
  std::string config =
      str("# Made by cove. Use:  ssh -F ", directory, "/ssh.config ", access.name, "\n", "Host ", access.name,
          "\n", "  HostName ", access.name, "\n", "  User ", access.user, "\n", "  ProxyCommand '", program,
          "' ssh-proxy ", access.name, "\n", "  HostKeyAlias ", alias, "\n", "  UserKnownHostsFile \"",
          directory, "/known_hosts\"\n", "  GlobalKnownHostsFile /dev/null\n",
          "  StrictHostKeyChecking yes\n", "  UpdateHostKeys no\n", "  IdentityFile \"", directory,
          "/key\"\n", "  IdentitiesOnly yes\n", "  IdentityAgent none\n", "  ForwardAgent no\n",
          "  ForwardX11 no\n", "  PreferredAuthentications publickey\n");
  writeFileAtomic(dir, "known_hosts", hosts, 0600);
  writeFileAtomic(dir, "ssh.config", config, 0600);
}

}  // namespace cove
