// Reads a log that grows and is rotated: when another file takes its name, the rest of the old one is read
// and then the new one from its beginning.
#pragma once
#include <functional>
#include <string>

#include "base/fd.h"

namespace cove::cli {

class LogFollower {
 public:
  explicit LogFollower(std::string path) : path_(std::move(path)) {}

  // Gives what has come since the last call, in pieces. False: there is no such file (any more).
  bool read(const std::function<void(std::string_view)>& take);

 private:
  void readRest(const std::function<void(std::string_view)>& take);
  std::string path_;
  Fd file_;
};

}  // namespace cove::cli
