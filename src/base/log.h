// The daemon's and the supervisors' log: one JSON object a line, {"time","level","program","msg"}, on a
// descriptor that was given at start. Messages never hold secrets; text from guests is escaped here.
#pragma once
#include <string_view>

#include "base/fd.h"

namespace cove {

enum class Level { kDebug, kInfo, kWarning, kError };

class Log {
 public:
  Log(Fd out, std::string program) : out_(std::move(out)), program_(std::move(program)) {}
  void write(Level level, std::string_view message) const;
  void info(std::string_view message) const { write(Level::kInfo, message); }
  void warning(std::string_view message) const { write(Level::kWarning, message); }
  void error(std::string_view message) const { write(Level::kError, message); }

 private:
  Fd out_;
  std::string program_;
};

}  // namespace cove
