// What a taken-over QEMU would try.
#pragma once
#include <string>
#include <vector>

namespace cove {

// Tries each way out. `places`: "socket=PATH", "abstract=NAME", "file=PATH" (to read or list), "port=N" (TCP
// on the host's loopback). One line an attempt: "NAME denied" or "NAME REACHED".
std::string tryToEscape(const std::string& self, const std::vector<std::string>& places);

}  // namespace cove
