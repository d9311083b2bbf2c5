#include <cstdlib>
#include <fcntl.h>
#include <sstream>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "base/paths.h"
#include "base/text.h"
#include "cove/doctor/check.h"
#include "hypervisor/acceleration.h"
#include "hypervisor/qemu.h"

namespace cove::cli {

namespace {

constexpr int kOldestMajor = 7, kOldestMinor = 2;  // -netdev dgram came with QEMU 7.2
constexpr const char* kKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

std::string findProgram(const std::string& name) {
  const char* path = getenv("PATH");
  std::stringstream directories(path ? path : "");
  for (std::string directory; std::getline(directories, directory, ':');) {
    std::string candidate = str(directory, "/", name);
    if (!directory.empty() && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

Check architecture() {
  struct utsname system = {};
  uname(&system);
  Check check = {"processor", Health::kGood, system.machine};
  if (check.found != "x86_64") {
    check.health = Health::kBroken;
    check.fix = "cove runs on x86_64 only";
  }
  return check;
}

Check qemuBinary(const std::optional<std::string>& program) {
  if (!program) return {"QEMU", Health::kBroken, "not found", installCommand("qemu-system-x86")};
  try {
    std::string version = qemuVersion(*program);
    Check check = {"QEMU", Health::kGood, version + ", " + *program};
    int major = 0, minor = 0;
    if (sscanf(version.c_str(), "%d.%d", &major, &minor) != 2 ||
        std::pair(major, minor) < std::pair(kOldestMajor, kOldestMinor)) {
      check.health = Health::kBroken;
      check.fix = "cove needs QEMU 7.2 or newer";
    }
    return check;
  } catch (const Error& error) {
    return {"QEMU", Health::kBroken, error.message(), installCommand("--reinstall qemu-system-x86")};
  }
}

// QEMU handles -sandbox before "-machine help", so that this tries the filter without starting anything.
Check qemuSandbox(const std::string& program) {
  try {
    capture({program, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
             "-machine", "help"});
    return {"QEMU's sandbox", Health::kGood, "available"};
  } catch (const Error& error) {
    return {"QEMU's sandbox", Health::kBroken, error.message(),
            "use a QEMU that was built with seccomp, as Debian's is"};
  }
}

// What the last start of a machine found out, where there was one: that /dev/kvm opens proves nothing.
std::optional<Acceleration> probed(const std::string& qemu) {
  try {
    return knownAcceleration(qemu, openPrivateDir(stateDirPath()));
  } catch (const Error&) {
    return std::nullopt;  // no state directory yet, or one that another check complains about
  }
}

Check acceleration(const std::string& qemu) {
  constexpr const char* kSlower = "; machines are emulated (tcg), which is several times slower";
  if (auto refusal = kvmRefusal()) {
    bool isCommand = access("/dev/kvm", F_OK) == 0;
    return {"acceleration", Health::kWarning, refusal->reason + kSlower,
            isCommand ? asRoot(refusal->fix) + "   (then log in again)" : refusal->fix};
  }
  auto answer = probed(qemu);
  if (!answer)
    return {"acceleration", Health::kGood,
            "/dev/kvm opens; the first machine that starts tries whether it works"};
  if (answer->name == "kvm") return {"acceleration", Health::kGood, "KVM: a guest ran under it"};
  return {"acceleration", Health::kWarning, answer->reason + kSlower,
          "use a host, or for a virtual host a setting of its own host, where KVM runs guests"};
}

// `directory`: where alone it is looked for, as the image builder's sandbox has a PATH of its own; empty: in
// PATH.
Check tool(const std::string& name, const std::string& purpose, const std::string& package,
           const std::string& directory = {}) {
  std::string path = directory.empty() ? findProgram(name) : directory + "/" + name;
  if (access(path.c_str(), X_OK) != 0) path.clear();
  if (!path.empty()) return {name, Health::kGood, path};
  return {name, Health::kBroken, "not found; it " + purpose, installCommand(package)};
}

Check keyring() {
  if (access(kKeyring, R_OK) == 0) return {"Debian's keys", Health::kGood, kKeyring};
  return {"Debian's keys", Health::kBroken, "not found; packages are checked with them",
          installCommand("debian-archive-keyring")};
}

}  // namespace

std::vector<Check> checkPrograms() {
  std::optional<std::string> qemu = findQemu();
  std::vector<Check> checks = {architecture(), qemuBinary(qemu)};
  if (qemu) checks.push_back(qemuSandbox(*qemu));
  if (qemu) checks.push_back(acceleration(*qemu));
  checks.push_back(tool("qemu-img", "makes disks", "qemu-utils"));
  checks.push_back(tool("ssh-keygen", "makes the instances' keys", "openssh-client"));
  checks.push_back(tool("mmdebstrap", "makes images", "mmdebstrap", "/usr/bin"));
  checks.push_back(tool("mke2fs", "makes images' file systems", "e2fsprogs", "/sbin"));
  checks.push_back(tool("gpgv", "checks Debian's signatures", "gpgv", "/usr/bin"));
  checks.push_back(keyring());
  return checks;
}

}  // namespace cove::cli
