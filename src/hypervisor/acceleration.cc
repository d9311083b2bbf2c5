#include "hypervisor/acceleration.h"

#include <grp.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/contain.h"
#include "base/error.h"
#include "base/text.h"
#include "hypervisor/probe_guest.h"
#include "hypervisor/qemu_command.h"
#include "rpc/co.h"
#include "rpc/connection.h"

namespace cove {

namespace {
constexpr const char* kAnswerName = "acceleration.json";
constexpr const char* kDevice = "/dev/kvm";
constexpr const char* kGuestPath = "/boot/probe";
constexpr auto kLimit = 3 * kj::SECONDS;  // TCG needs 0.2 s for the same

// Whatever may change the answer.
std::string describeHost(const std::string& qemu) {
  utsname kernel{};
  check(::uname(&kernel), "find out", "the kernel's version");
  return str(kernel.release, " ", kernel.version, "; ", identityOf(qemu), "; ",
             ::access(kDevice, R_OK | W_OK) == 0 ? "kvm" : "no kvm");
}

std::optional<Acceleration> remembered(const Fd& dir, const std::string& host) {
  try {
    auto saved = nlohmann::json::parse(readAll(openBeneath(dir, kAnswerName, O_RDONLY), 16384, kAnswerName));
    if (saved.at("host") != host) return std::nullopt;
    Acceleration answer{saved.at("name"), saved.at("reason")};
    if (answer.name != "kvm" && answer.name != "tcg") return std::nullopt;
    return answer;
  } catch (const std::exception&) {
    return std::nullopt;  // none, or none that we wrote
  }
}

void remember(const Fd& dir, const std::string& host, const Acceleration& answer) {
  nlohmann::json saved = {{"host", host}, {"name", answer.name}, {"reason", answer.reason}};
  writeFileAtomic(dir, kAnswerName, saved.dump() + "\n", 0600);
}

Child runProbeGuest(const std::string& qemu, Fd errors) {
  const std::string_view parts[] = {probeGuest()};
  Containment c;
  c.name = "QEMU";
  c.identity = qemuIdentity("kvm");
  c.binds = qemuBinds(qemu, "kvm");
  c.files.push_back({kGuestPath, makeSealedMemfd("probe", parts)});
  Child::Spec spec;
  spec.argv = {qemu,
               "-nodefaults",
               "-no-user-config",
               "-machine",
               "q35",
               "-accel",
               "kvm",
               "-cpu",
               "host",
               "-m",
               "64",
               "-display",
               "none",
               "-kernel",
               kGuestPath,
               "-device",
               str("isa-debug-exit,iobase=", kProbePort, ",iosize=1")};
  spec.env = {"LC_ALL=C"};
  spec.stderr = std::move(errors);
  return startContained(std::move(c), std::move(spec));
}

Acceleration tcg(std::string reason) { return {"tcg", std::move(reason)}; }

co::Co<Acceleration> probe(kj::UnixEventPort& port, std::string qemu) {
  if (probeGuest().empty()) co_return tcg("KVM is not used on this architecture yet");
  if (auto refusal = kvmRefusal()) co_return tcg(refusal->reason);
  Pipe errors = makePipe();
  std::string failure;
  try {
    Child guest = runProbeGuest(qemu, std::move(errors.write));
    auto end = whenEnded(port, guest).then([](Ended ended) { return kj::Maybe<Ended>(ended); });
    auto late = port.getTimer().afterDelay(kLimit).then([]() -> kj::Maybe<Ended> { return nullptr; });
    kj::Maybe<Ended> result = co_await end.exclusiveJoin(kj::mv(late));
    KJ_IF_MAYBE (ended, result) {
      if (ended->status == kProbeStatus) co_return Acceleration{"kvm", ""};
      failure = "QEMU with KVM ended with " + ended->describe();
    } else {
      failure = str("/dev/kvm opens, but a guest does not get through its first instructions in ",
                    kLimit / kj::SECONDS, " s");
    }
  } catch (const Error& e) {
    failure = e.message();
  }
  setNonblocking(errors.read);
  char text[512];
  if (ssize_t n = ::read(errors.read.get(), text, sizeof text); n > 0)
    failure += ": " + escapeForTerminal({text, static_cast<size_t>(n)});
  co_return tcg(failure);
}

co::Co<Acceleration> probeOnce(kj::UnixEventPort& port, std::string qemu, Fd stateDir) {
  std::string host = describeHost(qemu);
  if (auto answer = remembered(stateDir, host)) co_return *answer;
  Acceleration answer = co_await probe(port, qemu);
  remember(stateDir, host, answer);
  co_return answer;
}
}  // namespace

kj::Promise<Acceleration> probeAcceleration(kj::UnixEventPort& port, std::string qemu, const Fd& stateDir) {
  return probeOnce(port, std::move(qemu), stateDir.duplicate());
}

std::optional<Acceleration> knownAcceleration(const std::string& qemu, const Fd& stateDir) {
  return remembered(stateDir, describeHost(qemu));
}

std::optional<KvmRefusal> kvmRefusal() {
  struct stat st {};
  if (::stat(kDevice, &st) != 0)
    return KvmRefusal{
        "this host has no /dev/kvm",
        "enable virtualization in the firmware, or nested virtualization in this host's own host"};
  if (::access(kDevice, R_OK | W_OK) == 0) return std::nullopt;
  const group* owner = ::getgrgid(st.st_gid);
  bool forGroup = (st.st_mode & 0060) == 0060 && st.st_gid != 0 && owner != nullptr;
  if (!forGroup)
    return KvmRefusal{"/dev/kvm is for root only",
                      "chgrp kvm /dev/kvm && chmod 660 /dev/kvm && usermod -aG kvm $USER"};
  std::string name = escapeForTerminal(owner->gr_name);
  return KvmRefusal{"/dev/kvm is for the group " + name + ", and this user is not in it",
                    "usermod -aG " + name + " $USER"};
}

}  // namespace cove
