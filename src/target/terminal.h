// The caller's terminal while a command on a Target has it.
#pragma once
#include <cstdint>
#include <optional>
#include <sys/types.h>
#include <termios.h>

namespace cove {

struct TerminalSize {
  uint16_t rows = 24, columns = 80;
};
TerminalSize terminalSize(int fd);

// Raw mode from now on, the mode before in its destructor. Does nothing where `fd` is no terminal.
class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  void apply();  // again, after somebody else had the terminal

 private:
  int fd_;
  std::optional<termios> before_;
};

}  // namespace cove
