// A side of `cove copy`: NAME:PATH in an instance, or a path here.
#pragma once
#include <string>

namespace cove::cli {

struct CopyPath {
  std::string instance;  // empty: here
  std::string path;      // in an instance empty: the user's home

  // As scp has it: what stands before the first colon names an instance, unless a slash comes earlier
  // ("./a:b" is here). A usage error where that is no name.
  static CopyPath parse(const std::string& text);
  // The absolute path, relative ones being below `base`.
  std::string below(const std::string& base) const;
};

// The last component: what a copy is called in a directory. "." and ".." are resolved by name; "/" has none
// and gives an empty one.
std::string lastComponent(const std::string& absolutePath);

}  // namespace cove::cli
