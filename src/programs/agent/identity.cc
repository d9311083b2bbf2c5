#include "agent/identity.h"

#include <cerrno>
#include <sstream>
#include <sys/random.h>
#include <unistd.h>

#include "agent/etc.h"
#include "base/error.h"
#include "base/text.h"

namespace cove::agent {

namespace {
constexpr size_t kIdDigits = 32;
constexpr std::string_view kWord = "cove.id=";

void removeFile(const std::string& directory, const std::string& name) {
  std::optional<Fd> place = findDirectory(directory);
  if (place && ::unlinkat(place->get(), name.c_str(), 0) < 0 && errno != ENOENT)
    throw sysError("remove", name);
}
}  // namespace

std::string instanceLine(std::string_view id) { return str(id, "\n"); }

std::string bootedInstance() {
  std::istringstream words(readFile("/proc/cmdline", 1 << 16));
  for (std::string word; words >> word;)
    if (word.starts_with(kWord)) return word.substr(kWord.size());
  return "";
}

void becomeInstance(std::string_view id) {
  std::optional<Fd> etc = findDirectory("etc");
  if (!etc || readFileAt(*etc, kInstanceFile) == instanceLine(id)) return;
  // Where the kernel has too little entropy so early it is left to systemd, which waits better.
  replaceFile(*etc, "machine-id", newMachineId().value_or(""), 0444);
  removeFile("var/lib/systemd", "random-seed");
  removeSshHostKeys();
  replaceFile(*etc, kInstanceFile, instanceLine(id), 0444);  // last: it says that the others are done
}

void removeSshHostKeys() {
  for (const char* kind : {"ed25519", "ecdsa", "rsa"})
    for (const char* part : {"", ".pub"}) removeFile("etc/ssh", str("ssh_host_", kind, "_key", part));
}

std::optional<std::string> newMachineId() {
  unsigned char bytes[kIdDigits / 2];
  if (::getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != sizeof bytes) return std::nullopt;
  bytes[6] = (bytes[6] & 0x0f) | 0x40;  // a version 4 UUID, as systemd makes it
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  std::string id;
  for (unsigned char byte : bytes) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  return id + "\n";
}

}  // namespace cove::agent
