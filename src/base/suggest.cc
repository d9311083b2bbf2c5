#include "base/suggest.h"

#include <algorithm>

#include "base/text.h"

namespace cove {

size_t editDistance(std::string_view a, std::string_view b) {
  // Three rows of the table of optimal string alignment.
  std::vector<size_t> before, above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before = std::move(above);
    above = row;
  }
  return above[b.size()];
}

std::string didYouMean(std::string_view word, const std::vector<std::string>& known) {
  constexpr size_t kLongestWord = 80;  // the table is quadratic, and nobody means that
  if (word.size() > kLongestWord) return {};
  const std::string* best = nullptr;
  size_t bestDistance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    size_t distance = editDistance(word, candidate);
    if (distance < bestDistance) {
      best = &candidate;
      bestDistance = distance;
    }
  }
  if (!best || bestDistance >= word.size()) return {};
  return "Did you mean " + escapeForTerminal(*best) + "?";
}

}  // namespace cove
