// What the agent says about itself: lines in the kernel's log, which the journal keeps and which the host
// sees on the serial console when they are errors.
#pragma once
#include <string_view>

namespace cove::agent {

enum class Importance { kInfo, kError };

// "cove-agent: TEXT", one line. Never throws: a machine without /dev/kmsg has nobody to tell.
void report(Importance importance, std::string_view text) noexcept;

// Ends a boot that cannot go on: reports "boot failed: REASON" and exits, upon which the kernel panics, since
// this is the first process. The host recognises the line on the serial console.
[[noreturn]] void giveUp(std::string_view reason) noexcept;

}  // namespace cove::agent
