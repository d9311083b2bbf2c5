// The daemon's and the supervisors' log: one JSON object a line, {"time","level","program","msg"}, on a
// descriptor that was given at start or to whoever bounds it. Messages never hold secrets; text from guests
// is escaped here.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace cove {

// Now, as logs have it: "2026-01-31T23:59:59.999Z".
std::string timestamp();

enum class Level { kDebug, kInfo, kWarning, kError };

class Log {
 public:
  using Sink = std::function<void(std::string_view line)>;
  Log(Fd out, std::string program);
  Log(Sink sink, std::string program) : sink_(std::move(sink)), program_(std::move(program)) {}
  void write(Level level, std::string_view message) const;
  void info(std::string_view message) const { write(Level::kInfo, message); }
  void warning(std::string_view message) const { write(Level::kWarning, message); }
  void error(std::string_view message) const { write(Level::kError, message); }

 private:
  Sink sink_;
  std::string program_;
};

}  // namespace cove
