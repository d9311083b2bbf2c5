// Progress, read from what mmdebstrap --verbose, apt and dpkg print while they make an image.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "image/request.h"

namespace cove::image {

class LogProgress {
 public:
  // `downloadBytes`: the estimate, until more is known.
  explicit LogProgress(uint64_t downloadBytes) : expected_(downloadBytes) {}
  // What the line changes, if anything. Any text is allowed.
  std::optional<Progress> feed(std::string_view line);

 private:
  uint64_t expected_, downloaded_ = 0;
  uint64_t packages_ = 0, unpacked_ = 0, configured_ = 0;
};

}  // namespace cove::image
