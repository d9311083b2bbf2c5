// A pseudo-terminal: our side of it, and the side that a command gets.
#pragma once
#include <optional>
#include <sys/types.h>

#include "base/fd.h"

namespace cove {

struct Pty {
  Fd master, slave;
};

// Both O_NOCTTY. The slave is found through the master (TIOCGPTPEER), so /dev/pts may be another one or
// missing.
Pty openPty(uint16_t rows, uint16_t columns);
void resizePty(const Fd& master, uint16_t rows, uint16_t columns);
// The process group that gets Ctrl-C.
std::optional<pid_t> foregroundGroup(const Fd& master);
// What a user types to end the input, where the terminal is in a mode that knows one.
void typeEndOfFile(const Fd& master);

}  // namespace cove
