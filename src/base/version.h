// Which build of cove this is.
#pragma once
#include <string>
#include <string_view>

namespace cove {

std::string_view version();  // "0.1.0"

// Identifies the build of an installed program of this version: "VERSION+SECONDS.NANOSECONDS", the time at
// which its file was written. Of two builds the one written later is the newer.
std::string buildIdOf(const std::string& program);
// Does `a` come after `b`? Versions are compared number by number, then the times.
bool isNewerBuild(std::string_view a, std::string_view b);

}  // namespace cove
