#include "machine/testing/machine_files.h"

#include <capnp/serialize.h>
#include <filesystem>
#include <kj/io.h>
#include <unistd.h>

#include "base/error.h"

namespace cove {

MachineFiles::MachineFiles() {
  char path[] = "/tmp/cove-machine-XXXXXX";
  if (::mkdtemp(path) == nullptr) throw sysError("make", "a directory for the test");
  path_ = path;
  for (const char* dir : {"/instance", "/image"}) std::filesystem::create_directory(path_ + dir);
  for (const char* file : {"/instance/disk", "/image/root.img", "/image/kernel", "/image/modules.cpio"})
    openFile(path_ + file, O_WRONLY | O_CREAT, 0600);
}

MachineFiles::~MachineFiles() { std::filesystem::remove_all(path_); }

Fd MachineFiles::logFile() const {
  return openFile(path_ + "/test.log", O_WRONLY | O_CREAT | O_APPEND, 0600);
}

VmSetup MachineFiles::setup(const std::string& kernelArguments, bool ephemeral) const {
  capnp::MallocMessageBuilder message;
  auto config = message.initRoot<rpc::VmConfig>();
  config.setName("fake");
  config.setCpus(1);
  config.setMemoryMiB(64);
  config.setEphemeral(ephemeral);
  config.setAccelerator("tcg");
  config.setQemu(qemu.c_str());
  config.setKernelArguments(kernelArguments.c_str());
  kj::Array<capnp::word> words = capnp::messageToFlatArray(message);
  auto chars = words.asChars();
  const std::string_view parts[] = {{chars.begin(), chars.size()}};
  return readSetup(makeSealedMemfd("config", parts), openFile(path_ + "/instance", O_RDONLY | O_DIRECTORY),
                   openFile(path_ + "/image", O_RDONLY | O_DIRECTORY));
}

}  // namespace cove
