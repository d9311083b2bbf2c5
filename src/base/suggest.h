// "Did you mean": the known word nearest to a mistyped one.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace cove {

// Edits (insert, delete, replace, swap of neighbours) from one to the other.
size_t editDistance(std::string_view a, std::string_view b);

// "Did you mean X?", or empty when none is near enough. The answer is escaped for a terminal.
std::string didYouMean(std::string_view word, const std::vector<std::string>& known);

}  // namespace cove
