#include "target/pty.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/error.h"

namespace cove {

Pty openPty(uint16_t rows, uint16_t columns) {
  Pty pty;
  pty.master = openFile("/dev/ptmx", O_RDWR | O_NOCTTY);
  int unlock = 0;
  check(::ioctl(pty.master.get(), TIOCSPTLCK, &unlock), "unlock", "a terminal");
  pty.slave = Fd(::ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC), "open", "a terminal");
  termios mode{};
  check(::tcgetattr(pty.slave.get(), &mode), "examine", "a terminal");
  mode.c_iflag |= IUTF8;  // so that erasing removes whole characters
  check(::tcsetattr(pty.slave.get(), TCSANOW, &mode), "set up", "a terminal");
  resizePty(pty.master, rows, columns);
  return pty;
}

void resizePty(const Fd& master, uint16_t rows, uint16_t columns) {
  winsize size{};
  size.ws_row = rows;
  size.ws_col = columns;
  check(::ioctl(master.get(), TIOCSWINSZ, &size), "resize", "a terminal");
}

std::optional<pid_t> foregroundGroup(const Fd& master) {
  pid_t group = 0;
  if (::ioctl(master.get(), TIOCGPGRP, &group) < 0 || group <= 1) return std::nullopt;
  return group;
}

void typeEndOfFile(const Fd& master) {
  termios mode{};
  if (::tcgetattr(master.get(), &mode) < 0 || (mode.c_lflag & ICANON) == 0) return;
  // A terminal whose input is full has more to read before its end anyway.
  [[maybe_unused]] ssize_t written = ::write(master.get(), &mode.c_cc[VEOF], 1);
}

}  // namespace cove
