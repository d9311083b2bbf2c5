#include "instance/launch.h"

#include <capnp/message.h>
#include <cerrno>
#include <cstring>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/paths.h"
#include "base/text.h"
#include "hypervisor/acceleration.h"
#include "hypervisor/qemu.h"
#include "instance/saved_key.h"
#include "instance/tools.h"
#include "machine/launch.h"

namespace cove {

namespace {

constexpr size_t kPublicKey = 1024;
constexpr int kSaverNice = 15;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

void fill(rpc::VmConfig::Builder config, const InstanceRecord& record, const image::Image& image) {
  const InstanceSpec& spec = record.spec;
  config.setName(spec.name);
  config.setCpus(static_cast<uint16_t>(spec.cpus));
  config.setMemoryMiB(spec.memoryMiB);
  config.setEphemeral(spec.ephemeral);
  auto user = config.initUser();
  user.setName(spec.user.name);
  user.setUid(spec.user.uid);
  user.setGid(spec.user.gid);
  user.setComment(spec.user.comment);
  config.setAccelerator(record.accelerator);
  config.setQemu(requireQemu());
  config.setKernelArguments(joined(image.manifest.kernelArguments));
  config.setId(record.id);
  config.setKind(resumeKind(record));
}

void authorizeKey(rpc::VmConfig::Builder config, const Fd& instanceDir) {
  if (!isThere(instanceDir, "key.pub")) return;  // one that begins from a saved machine has none
  std::string key = readAll(openBeneath(instanceDir, "key.pub", O_RDONLY), kPublicKey, "key.pub");
  while (!key.empty() && key.back() == '\n') key.pop_back();
  config.initAuthorizedKeys(1).set(0, key);
}

}  // namespace

std::string requireQemu() {
  if (auto qemu = findQemu()) return *qemu;
  throw Error("QEMU is not installed").hint("Install it:\n  sudo apt-get install qemu-system-x86");
}

co::Co<Launched> launchInstance(kj::UnixEventPort& port, const Fd& stateDir, InstanceRecord record,
                                image::Image image, Fd instanceDir, Fd imageDir, Beginning beginning) {
  Launched launched;
  // What was suspended goes on as it was.
  if (!beginning.key) {
    Acceleration acceleration = co_await probeAcceleration(port, requireQemu(), stateDir);
    record.accelerator = acceleration.name;
  }
  launched.accelerator = record.accelerator;

  capnp::MallocMessageBuilder message;
  auto config = message.initRoot<rpc::VmConfig>();
  fill(config, record, image);
  authorizeKey(config, instanceDir);
  config.setSave(beginning.save);
  config.setFromSaved(beginning.from != nullptr);
  config.setWaits(beginning.waits);
  config.setResume(beginning.key.has_value());
  std::string program = programPath("cove-vm");
  // The supervisor becomes nobody's child, as it would be after the daemon's death: there is one way to watch
  // it.
  Fd answer = makeMemfd("supervisor");
  std::function<void()> launchIt = [&] {
    errno = 0;
    if (beginning.save && ::nice(kSaverNice) < 0 && errno != 0)
      throw sysError("lower the priority of", "a machine");
    Child child = launchSupervisor({program, config.asReader(), instanceDir, imageDir, beginning.from.get(),
                                    beginning.key ? &*beginning.key : nullptr});
    ProcessId id = child.id();
    writeAll(answer, {reinterpret_cast<const char*>(&id), sizeof id}, "the supervisor's identity");
    child.release();
  };
  co_await runForked(port, "start " + record.name(), launchIt);
  ProcessId& id = launched.supervisor;
  check(::lseek(answer.get(), 0, SEEK_SET), "read", "the supervisor's identity");
  std::string bytes = readAll(answer, sizeof id, "the supervisor's identity");
  if (bytes.size() != sizeof id) throw Error(str("cannot start ", record.name(), ": no supervisor"));
  std::memcpy(&id, bytes.data(), sizeof id);
  co_return launched;
}

}  // namespace cove
