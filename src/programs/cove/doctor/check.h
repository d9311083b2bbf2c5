// What `cove doctor` examines. Each check looks at one thing, changes nothing, and says what it found and the
// command that mends it.
#pragma once
#include <string>
#include <vector>

namespace cove::cli {

class Context;

enum class Health {
  kGood,
  kWarning,  // machines run, with less than there could be
  kBroken    // none run, or no image can be made
};

struct Check {
  std::string item;
  Health health = Health::kGood;
  std::string found;
  std::string fix = {};  // a command line ready for copying, or what to do
};

std::vector<Check> checkPrograms();               // processor, QEMU, the tools that images are made with
std::vector<Check> checkIsolation();              // namespaces, sub-ids, filters
std::vector<Check> checkResources();              // disk, memory, limits
std::vector<Check> checkState(Context& context);  // directories, daemon

// "sudo apt-get install PACKAGE" where this host installs so, else a sentence that names Debian's package.
std::string installCommand(const std::string& package);
// "sudo COMMAND", for root COMMAND.
std::string asRoot(const std::string& command);
// First line of a small file, without its end; empty where it cannot be read.
std::string firstLine(const std::string& path);
// With "~" for the home directory.
std::string shortPath(const std::string& path);

}  // namespace cove::cli
