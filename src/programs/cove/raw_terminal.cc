#include "cove/raw_terminal.h"

#include "base/error.h"

namespace cove::cli {

RawTerminal::RawTerminal(int fd) : fd_(fd) {
  check(tcgetattr(fd, &saved_), "read the mode of", "the terminal");
  struct termios raw = saved_;
  cfmakeraw(&raw);
  check(tcsetattr(fd, TCSADRAIN, &raw), "set the mode of", "the terminal");
}

RawTerminal::~RawTerminal() { tcsetattr(fd_, TCSADRAIN, &saved_); }

}  // namespace cove::cli
