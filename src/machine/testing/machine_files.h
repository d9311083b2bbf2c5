// An instance's and an image's directory for tests, with files of no content, and the configuration for them.
#pragma once
#include <string>

#include "machine/setup.h"

namespace cove {

class MachineFiles {
 public:
  MachineFiles();
  ~MachineFiles();
  const std::string& path() const { return path_; }
  Fd logFile() const;
  // `resume`: the instance becomes one that is suspended.
  VmSetup setup(const std::string& kernelArguments, bool ephemeral, bool resume = false) const;

  std::string qemu = COVE_FAKE_QEMU;

 private:
  StateKey suspend() const;
  std::string path_;
};

}  // namespace cove
