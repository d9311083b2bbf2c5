#include "instance/launch.h"

#include <capnp/message.h>
#include <cstring>
#include <unistd.h>

#include "base/error.h"
#include "base/paths.h"
#include "base/text.h"
#include "hypervisor/qemu.h"
#include "instance/tools.h"
#include "machine/launch.h"

namespace cove {

namespace {

constexpr size_t kPublicKey = 1024;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

void fill(rpc::VmConfig::Builder config, const InstanceRecord& record, const image::Image& image,
          const Fd& instanceDir) {
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
  std::string key = readAll(openBeneath(instanceDir, "key.pub", O_RDONLY), kPublicKey, "key.pub");
  while (!key.empty() && key.back() == '\n') key.pop_back();
  config.initAuthorizedKeys(1).set(0, key);
  auto qemu = findQemu();
  if (!qemu) throw Error("QEMU is not installed").hint("Install it:\n  sudo apt-get install qemu-system-x86");
  config.setQemu(*qemu);
  config.setAccelerator("tcg");
  config.setKernelArguments(joined(image.manifest.kernelArguments));
}

}  // namespace

co::Co<ProcessId> launchInChild(kj::UnixEventPort& port, InstanceRecord record, image::Image image,
                                Fd instanceDir, Fd imageDir) {
  capnp::MallocMessageBuilder message;
  auto config = message.initRoot<rpc::VmConfig>();
  fill(config, record, image, instanceDir);
  std::string program = programPath("cove-vm");
  Fd answer = makeMemfd("supervisor");
  co_await runForked(port, "start " + record.name(), [&] {
    Child child = launchSupervisor({program, config.asReader(), instanceDir, imageDir});
    ProcessId id = child.id();
    writeAll(answer, {reinterpret_cast<const char*>(&id), sizeof id}, "the supervisor's identity");
    child.release();
  });
  ProcessId id;
  check(::lseek(answer.get(), 0, SEEK_SET), "read", "the supervisor's identity");
  std::string bytes = readAll(answer, sizeof id, "the supervisor's identity");
  if (bytes.size() != sizeof id) throw Error(str("cannot start ", record.name(), ": no supervisor"));
  std::memcpy(&id, bytes.data(), sizeof id);
  co_return id;
}

}  // namespace cove
