#include "target/terminal.h"

#include <sys/ioctl.h>

namespace cove {

TerminalSize terminalSize(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0) return {};
  return {size.ws_row, size.ws_col};
}

RawTerminal::RawTerminal(int fd) : fd_(fd) {
  termios mode{};
  if (::tcgetattr(fd, &mode) < 0) return;
  before_ = mode;
  apply();
}

RawTerminal::~RawTerminal() {
  if (before_) ::tcsetattr(fd_, TCSADRAIN, &*before_);
}

void RawTerminal::apply() {
  if (!before_) return;
  termios raw = *before_;
  ::cfmakeraw(&raw);
  ::tcsetattr(fd_, TCSADRAIN, &raw);
}

}  // namespace cove
