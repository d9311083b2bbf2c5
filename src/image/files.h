// The files of an image, and the digest that is its name.
#pragma once
#include <array>
#include <string>

#include "base/fd.h"

struct crypto_hash_sha256_state;

namespace cove::image {

inline constexpr const char* kRootName = "root.img";         // raw, sparse, one ext4 file system
inline constexpr const char* kKernelName = "kernel";         // bzImage
inline constexpr const char* kModulesName = "modules.cpio";  // lib/cove/modules, and what it lists
inline constexpr const char* kManifestName = "image.json";   // request.h: Manifest
inline constexpr std::array kImageFiles = {kRootName, kKernelName, kModulesName, kManifestName};
inline constexpr const char* kDigestName = "digest";  // only while it is not in the store yet

// SHA-256, in hexadecimal, over name, size and content of each file, in the order of the calls.
class DigestBuilder {
 public:
  DigestBuilder();
  ~DigestBuilder();
  DigestBuilder(const DigestBuilder&) = delete;
  void add(const std::string& name, const Fd& file);  // from its beginning
  std::string finish();

 private:
  crypto_hash_sha256_state* state_;
};
bool isDigest(std::string_view text);

}  // namespace cove::image
