// What coved asks of cove-image, and what comes back; on descriptors, never in argv or environment, because a
// proxy's address may hold a password.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "image/os.h"

namespace cove::image {

// Descriptors of cove-image; its standard error is the build's log.
inline constexpr int kRequestFd = 3;   // a sealed file: BuildRequest::encode()
inline constexpr int kStagingFd = 4;   // the empty directory that the image is made in
inline constexpr int kProgressFd = 5;  // a pipe: Progress lines

struct BuildRequest {
  Os os;
  // Where packages come from: "http://HOST/debian". Empty: Debian's own, as mmdebstrap knows it.
  std::string mirror;
  std::string securityMirror;            // empty: `mirror` with "-security" added, as mirrors have it
  std::vector<std::string> environment;  // "http_proxy=…" and the like

  std::string encode() const;
  static BuildRequest decode(std::string_view text);
};

// One step of a build; total 0: unknown.
struct Progress {
  std::string step;
  uint64_t done = 0, total = 0;

  std::string encode() const;  // one line
  // nullopt for whatever is no such line: the sandbox is not trusted to write well.
  static std::optional<Progress> decode(std::string_view line);
};

// image.json, beside the files that it describes.
struct Manifest {
  std::string os, variant, suite, architecture;
  std::string recipeKey;
  int64_t builtAt = 0;        // seconds since the epoch
  std::string kernelRelease;  // "6.1.0-42-cloud-amd64"
  std::vector<std::string> kernelArguments;
  std::vector<std::pair<std::string, std::string>> packages;  // name, version

  std::string encode() const;
  static Manifest decode(std::string_view text);
};

// What the sandbox says about its work (assembled.json).
struct Assembled {
  std::string kernelRelease;
  std::vector<std::pair<std::string, std::string>> packages;

  std::string encode() const;
  static Assembled decode(std::string_view text);
};

}  // namespace cove::image
