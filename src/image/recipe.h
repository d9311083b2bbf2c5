// What an image is made of: everything that a variant of an operating system contains or changes stands here
// and in recipe.cc, with its reason.
#pragma once
#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

#include "image/os.h"

namespace cove::image {

struct RecipeFile {
  std::string path;  // absolute, in the image
  std::string content;
  mode_t mode = 0644;
};

struct Recipe {
  Os os;
  std::string architecture;           // Debian's name, "amd64"
  std::vector<std::string> packages;  // beside the required ones
  std::string kernelPackage;  // unpacked, never configured: that would make an initrd that nobody boots
  std::vector<std::string> modules;  // what the initrd must load to reach the disk and the agent's port
  std::vector<std::string> kernelArguments;
  std::vector<std::string> enabledUnits, disabledUnits, maskedUnits;
  std::vector<std::string> removedFiles;  // shell patterns
  std::vector<RecipeFile> files;
  // Measured on Debian's archive, rounded up; for the estimate before the first build.
  uint64_t downloadBytes = 0;
  uint64_t diskBytes = 0;
  uint64_t memoryBytes = 0;  // the tree is put together in memory

  // Which image is this one's: suite, architecture, packages, builder version. 16 hexadecimal digits.
  std::string key() const;
};

Recipe recipeFor(const Os& os);

}  // namespace cove::image
