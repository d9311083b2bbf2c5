#include "cove/escape_filter.h"

namespace cove::cli {

EscapeFilter::Result EscapeFilter::feed(std::string_view typed) {
  constexpr char kKey = 0x1d;  // Ctrl-]
  constexpr int kTimes = 3;
  Result result;
  for (char c : typed) {
    if (c == kKey) {
      if (++seen_ == kTimes) {
        result.leave = true;
        return result;
      }
      continue;
    }
    result.pass.append(seen_, kKey);
    seen_ = 0;
    result.pass += c;
  }
  return result;
}

}  // namespace cove::cli
