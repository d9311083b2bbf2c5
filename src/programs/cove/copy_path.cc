#include "cove/copy_path.h"

#include <filesystem>

#include "cove/arguments.h"

namespace cove::cli {

CopyPath CopyPath::parse(const std::string& text) {
  if (text.empty()) throw usageError("an empty path cannot be copied");
  size_t colon = text.find(':');
  if (colon == text.npos || text.find('/') < colon) return {"", text};
  return {instanceName("NAME:PATH", text.substr(0, colon)), text.substr(colon + 1)};
}

std::string CopyPath::below(const std::string& base) const {
  if (path.starts_with('/')) return path;
  return path.empty() ? base : base + "/" + path;
}

std::string lastComponent(const std::string& absolutePath) {
  std::filesystem::path path = std::filesystem::path(absolutePath).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // it ended with a slash
  return path.filename().string();
}

}  // namespace cove::cli
