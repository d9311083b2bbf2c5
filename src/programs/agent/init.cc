#include "agent/init.h"

#include <climits>
#include <cstdlib>
#include <sys/random.h>
#include <unistd.h>

#include "agent/etc.h"
#include "agent/readiness.h"
#include "base/error.h"

namespace cove::agent {

namespace {
constexpr const char* kPrograms[] = {"/sbin/init", "/usr/lib/systemd/systemd", "/lib/systemd/systemd"};
constexpr size_t kIdDigits = 32;
}  // namespace

Init findInit() {
  for (const char* program : kPrograms) {
    if (::access(program, X_OK) != 0) continue;
    char resolved[PATH_MAX];
    std::string name = ::realpath(program, resolved) != nullptr ? resolved : program;
    return {program, name.ends_with("/systemd")};
  }
  throw Error("the image has no init: neither /sbin/init nor systemd is there");
}

bool isUnsetMachineId(std::string_view contents) {
  while (contents.ends_with('\n')) contents.remove_suffix(1);
  return contents.size() != kIdDigits || contents.find_first_not_of("0123456789abcdef") < kIdDigits;
}

void ensureMachineId() {
  std::optional<Fd> etc = findDirectory("etc");
  if (!etc || !isUnsetMachineId(readFileAt(*etc, "machine-id").value_or(""))) return;
  // Where the kernel has too little entropy so early it is left to systemd, which waits better.
  if (auto id = newMachineId()) replaceFile(*etc, "machine-id", *id, 0444);
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

void becomeInit(const Init& init) {
  check(::setenv("NOTIFY_SOCKET", kNotifySocket, 1), "set", "NOTIFY_SOCKET");
  const char* argv[] = {init.program.c_str(), nullptr};
  ::execv(init.program.c_str(), const_cast<char**>(argv));
  throw sysError("execute", init.program);
}

}  // namespace cove::agent
