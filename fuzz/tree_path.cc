// Names that a guest gives to the entries of a tree: what is accepted lies below the tree's root.
#include <filesystem>
#include <string>

#include "require.h"
#include "target/paths.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string path(cove::asText(data, size));
  if (!cove::isSafeTreePath(path) || path.empty()) return 0;
  cove::require(path.find('\0') == std::string::npos);
  std::filesystem::path whole = std::filesystem::path("/root") / path;
  cove::require(whole.lexically_normal() == "/root/" + path);
  return 0;
}
