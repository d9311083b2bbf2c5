// Which kernel modules an initrd needs, and in what order they are loaded.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace cove::image {

// What depmod(8) and the kernel's build say about one kernel: the texts of modules.dep and modules.builtin.
class ModuleIndex {
 public:
  // A line that is no dependency line is an Error.
  ModuleIndex(std::string_view dependencies, std::string_view builtin);

  // Paths, as modules.dep has them, of `names` and all that they need, each once and after what it needs.
  // What is built in is left out. '-' and '_' are the same in a name. A name that is neither, and a circle,
  // are Errors.
  std::vector<std::string> loadOrder(const std::vector<std::string>& names) const;

 private:
  struct Module {
    std::string path;
    std::vector<std::string> needs;  // names
  };
  std::map<std::string, Module> modules_;  // by name; empty path: built in
};

// "virtio_rng" for "kernel/drivers/char/hw_random/virtio-rng.ko.xz".
std::string moduleName(std::string_view path);

// A module file's content, unpacked where its name ends in .xz: not every kernel unpacks modules itself.
std::string readModule(const Fd& directory, const std::string& path);

// The archive of an image's modules for the initrd: the files under lib/modules/RELEASE, and
// lib/cove/modules, which lists them (absolute paths, a line each) in load order.
std::string moduleArchive(const Fd& directory, std::string_view release, const ModuleIndex& index,
                          const std::vector<std::string>& names);

}  // namespace cove::image
