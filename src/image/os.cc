#include "image/os.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace cove::image {

namespace {

struct Release {
  const char* distribution;
  const char* version;
  const char* suite;
};
constexpr Release kReleases[] = {{"debian", "12", "bookworm"}, {"debian", "13", "trixie"}};
constexpr const char* kVariants[] = {"default", "minimal"};
constexpr size_t kLongestName = 64;  // what is longer is no name, and is not compared with any

std::string join(const std::vector<std::string>& words) {
  std::string result;
  for (const std::string& word : words) result += (result.empty() ? "" : ", ") + word;
  return result;
}

// Levenshtein's distance.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j)
      diagonal = std::exchange(
          row[j], std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1] ? 1 : 0)}));
  }
  return row.back();
}

Error unknown(std::string_view kind, std::string_view text, const std::vector<std::string>& known) {
  std::string shown = escapeForTerminal(text.substr(0, kLongestName));
  if (text.size() > kLongestName) shown += "…";
  Error error(str("unknown ", kind.data(), " \"", shown.c_str(), "\"; known: ", join(known).c_str()));
  error.status(Exit::kUsage);
  if (text.empty() || text.size() > kLongestName) return error;
  auto nearest = std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
    return distance(text, a) < distance(text, b);
  });
  if (distance(text, *nearest) <= 2) error.hint(str("Did you mean ", nearest->c_str(), "?"));
  return error;
}

}  // namespace

std::vector<std::string> knownOses() {
  std::vector<std::string> names;
  for (const Release& r : kReleases) names.push_back(str(r.distribution, ":", r.version));
  return names;
}

std::vector<std::string> knownVariants() { return {std::begin(kVariants), std::end(kVariants)}; }

Os parseOs(std::string_view text, std::string_view variant) {
  if (variant.empty()) variant = kVariants[0];
  if (std::find(std::begin(kVariants), std::end(kVariants), variant) == std::end(kVariants))
    throw unknown("variant", variant, knownVariants());
  for (const Release& r : kReleases)
    for (char separator : {':', '-'})
      if (text == str(r.distribution, separator, r.version))
        return {r.distribution, r.version, r.suite, std::string(variant)};
  throw unknown("operating system", text, knownOses());
}

}  // namespace cove::image
