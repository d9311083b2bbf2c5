// Kernel modules of the initrd.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace cove::agent {

// The list /lib/cove/modules: one absolute path a line, in load order; empty lines are skipped. Throws Error
// on anything else.
std::vector<std::string> parseModuleList(std::string_view text);

// Loads them in order, and removes each file: the initrd lies in memory that the guest can use. A module that
// is there already, or built into the kernel, is fine. Where there is no list there is nothing to load.
void loadModules(const std::string& list);

}  // namespace cove::agent
