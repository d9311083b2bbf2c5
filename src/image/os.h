// The operating systems that cove knows how to make.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace cove::image {

struct Os {
  std::string distribution;  // "debian"
  std::string version;       // "12"
  std::string suite;         // "bookworm"
  std::string variant;       // "default", "minimal"

  std::string name() const { return distribution + ":" + version; }
};

// "debian:12" or "debian-12"; an empty variant is "default". An unknown one is an Error (Exit::kUsage) that
// lists what is known and, where a name is close, says which was probably meant.
Os parseOs(std::string_view text, std::string_view variant = {});

// Every name that parseOs() takes, "debian:12" first; for completion and messages.
std::vector<std::string> knownOses();
std::vector<std::string> knownVariants();

}  // namespace cove::image
