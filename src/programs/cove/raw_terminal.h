// A terminal in raw mode for as long as the object lives.
#pragma once
#include <termios.h>

namespace cove::cli {

class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;

 private:
  int fd_;
  struct termios saved_ = {};
};

}  // namespace cove::cli
