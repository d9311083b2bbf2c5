#include "machine/testing/machine_files.h"

#include <capnp/serialize.h>
#include <filesystem>
#include <kj/io.h>
#include <unistd.h>

#include "base/error.h"

namespace cove {

namespace {
constexpr unsigned kMemoryMiB = 64;
}

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

VmSetup MachineFiles::setup(const std::string& kernelArguments, bool ephemeral, bool resume) const {
  capnp::MallocMessageBuilder message;
  auto config = message.initRoot<rpc::VmConfig>();
  config.setName("fake");
  config.setCpus(1);
  config.setMemoryMiB(kMemoryMiB);
  config.setEphemeral(ephemeral);
  config.setResume(resume);
  config.setAccelerator("tcg");
  config.setQemu(qemu.c_str());
  config.setKernelArguments(kernelArguments.c_str());
  kj::Array<capnp::word> words = capnp::messageToFlatArray(message);
  auto chars = words.asChars();
  const std::string_view parts[] = {{chars.begin(), chars.size()}};
  VmSetup setup =
      readSetup(makeSealedMemfd("config", parts), openFile(path_ + "/instance", O_RDONLY | O_DIRECTORY),
                openFile(path_ + "/image", O_RDONLY | O_DIRECTORY));
  if (resume) setup.key = suspend();
  return setup;
}

StateKey MachineFiles::suspend() const {
  StateKey key;
  Fd devices = makeMemfd("devices"), memory = makeMemfd("memory");
  check(::ftruncate(memory.get(), off_t{kMemoryMiB} << 20), "make", "the memory");
  Fd file = openFile(path_ + "/instance/" + kSuspendedName, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  writeState(file, key, "", devices, memory);
  return key;
}

}  // namespace cove
