// What the first processes of bare machines share. Whatever fails ends the process, and so the machine with a
// panic of its kernel.
#pragma once
#include <string>

namespace bare {

// Ends the process when it is not fine, and says so with errno on the console.
void require(bool fine, const std::string& what);
// A line on the console.
void say(const std::string& line);

void mountAt(const char* type, const std::string& place);
// /proc, /sys, /dev and the image's modules.
void prepare();
void waitFor(const std::string& path);
// The virtio port that is the agent's in an instance of cove.
int openPort();

}  // namespace bare
