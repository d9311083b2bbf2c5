#include "agent/ssh_key.h"

#include <algorithm>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/etc.h"
#include "agent/run.h"
#include "base/error.h"
#include "rpc/co.h"

namespace cove::agent {

namespace {
constexpr const char* kServer = "/usr/sbin/sshd";
constexpr const char* kKey = "ssh_host_ed25519_key";
constexpr const char* kPublicKey = "ssh_host_ed25519_key.pub";
// Made under these names first, so that sshd never finds half a key.
constexpr const char* kNewKey = ".cove_host_key";
constexpr const char* kNewPublicKey = ".cove_host_key.pub";

bool isThere(const Fd& dir, const char* name) {
  struct stat st;
  return ::fstatat(dir.get(), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

co::Co<std::string> ensureKey(kj::UnixEventPort& port) {
  // Not by /etc/ssh, where other packages put files as well (systemd 257).
  if (::access(kServer, X_OK) != 0) co_return "";
  std::optional<Fd> ssh = findDirectory("etc/ssh");
  if (!ssh) throw Error("the guest's ssh server has no /etc/ssh");
  if (!isThere(*ssh, kKey) || !isThere(*ssh, kPublicKey)) {
    ::unlinkat(ssh->get(), kNewKey, 0);
    ::unlinkat(ssh->get(), kNewPublicKey, 0);
    // Named first: g++ 12 refuses a list of initializers in the operand of co_await.
    std::vector<std::string> command{"ssh-keygen", "-q", "-t", "ed25519", "-N",
                                     "",           "-C", "",   "-f",      std::string("/etc/ssh/") + kNewKey};
    co_await runProgram(port, std::move(command));
    // The private key last: it is the one whose presence says that both are there.
    check(::renameat(ssh->get(), kNewPublicKey, ssh->get(), kPublicKey), "put in place", kPublicKey);
    check(::renameat(ssh->get(), kNewKey, ssh->get(), kKey), "put in place", kKey);
  }
  co_return parsePublicKey(readFileAt(*ssh, kPublicKey).value_or(""));
}
}  // namespace

std::string parsePublicKey(std::string_view text) {
  // RFC 8709: string "ssh-ed25519", string of 32 bytes; 51 bytes are 68 characters of base64, without
  // padding. The first 19 bytes are the same in every key, which fixes the first 25 characters.
  constexpr std::string_view kStart = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI";
  constexpr size_t kLength = 12 + 68;
  std::string_view line = text.substr(0, text.find_first_of(" \n", kLength));
  auto isBase64 = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  if (line.size() != kLength || !line.starts_with(kStart) || !std::ranges::all_of(line.substr(12), isBase64))
    throw Error("the guest's ssh host key is no ed25519 key");
  return std::string(line);
}

kj::Promise<std::string> ensureSshHostKey(kj::UnixEventPort& port) { return ensureKey(port); }

}  // namespace cove::agent
