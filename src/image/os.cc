#include "image/os.h"

#include <algorithm>

#include "base/error.h"
#include "base/suggest.h"
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
constexpr size_t kLongestName = 64;  // what is longer is no name

std::string join(const std::vector<std::string>& words) {
  std::string result;
  for (const std::string& word : words) result += (result.empty() ? "" : ", ") + word;
  return result;
}

Error unknown(std::string_view kind, std::string_view text, const std::vector<std::string>& known) {
  std::string shown = escapeForTerminal(text.substr(0, kLongestName));
  if (text.size() > kLongestName) shown += "…";
  Error error(str("unknown ", kind.data(), " \"", shown.c_str(), "\"; known: ", join(known).c_str()));
  error.status(Exit::kUsage);
  error.hint(didYouMean(text, known));
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
