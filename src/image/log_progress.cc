#include "image/log_progress.h"

#include <algorithm>
#include <charconv>

namespace cove::image {

namespace {

bool startsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

// "[37.6 kB]" at the end of a line; apt's units are powers of 1000. 0 when there is none.
uint64_t sizeAtEnd(std::string_view line) {
  size_t open = line.rfind('[');
  if (open == std::string_view::npos || line.back() != ']') return 0;
  const char* end = line.data() + line.size();
  double value = 0;
  auto [unit, code] = std::from_chars(line.data() + open + 1, end, value);
  if (code != std::errc() || !(value >= 0 && value < 1e12)) return 0;
  std::string_view rest(unit, static_cast<size_t>(end - unit));
  if (startsWith(rest, " kB")) value *= 1e3;
  if (startsWith(rest, " MB")) value *= 1e6;
  return static_cast<uint64_t>(std::min(value, 1e12));
}

// The number before " newly installed": "0 upgraded, 146 newly installed, …".
uint64_t newlyInstalled(std::string_view line) {
  size_t at = line.find(" newly installed");
  if (at == std::string_view::npos) return 0;
  size_t start = line.rfind(' ', at - 1);
  uint64_t count = 0;
  if (start != std::string_view::npos && start + 1 < at)
    std::from_chars(line.data() + start + 1, line.data() + at, count);
  return std::min<uint64_t>(count, 100'000);
}

}  // namespace

std::optional<Progress> LogProgress::feed(std::string_view line) {
  if (startsWith(line, "Get:")) {
    downloaded_ += sizeAtEnd(line);
    expected_ = std::max(expected_, downloaded_);
    return Progress{"downloading packages", downloaded_, expected_};
  }
  if (uint64_t count = newlyInstalled(line)) {
    packages_ += count;
    return std::nullopt;
  }
  if (startsWith(line, "Unpacking "))
    return Progress{"unpacking packages", ++unpacked_, std::max(packages_, unpacked_)};
  if (startsWith(line, "Setting up "))
    return Progress{"configuring packages", ++configured_, std::max(packages_, configured_)};
  return std::nullopt;
}

}  // namespace cove::image
