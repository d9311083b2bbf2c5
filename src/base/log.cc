#include "base/log.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <memory>
#include <unistd.h>

#include "base/text.h"

namespace cove {

std::string timestamp() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  ::gmtime_r(&now.tv_sec, &parts);
  char text[64];
  size_t n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + n, sizeof text - n, ".%03ldZ", now.tv_nsec / 1'000'000);
  return text;
}

Log::Log(Fd out, std::string program) : program_(std::move(program)) {
  // One write a line, so that lines of several processes do not mix; a full disk must not end the daemon.
  sink_ = [fd = std::make_shared<Fd>(std::move(out))](std::string_view line) {
    [[maybe_unused]] ssize_t written = ::write(fd->get(), line.data(), line.size());
  };
}

void Log::write(Level level, std::string_view message) const {
  constexpr std::array<const char*, 4> kNames = {"debug", "info", "warning", "error"};
  std::string line = str("{\"time\":\"", timestamp(), "\",\"level\":\"", kNames[static_cast<size_t>(level)],
                         "\",\"program\":\"", program_, "\",\"msg\":\"");
  // Escaped text holds no control character, so only quotes and backslashes are left for JSON.
  for (char c : escapeForTerminal(message)) {
    if (c == '"' || c == '\\') line += '\\';
    line += c;
  }
  line += "\"}\n";
  sink_(line);
}

}  // namespace cove
