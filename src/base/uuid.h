// Random UUIDs, in the form in which the kernel writes them: 36 lower-case characters.
#pragma once
#include <string>
#include <string_view>

namespace cove {

std::string newUuid();
bool isUuid(std::string_view text);

}  // namespace cove
