#include "instance/last_event.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {

constexpr off_t kTail = 16 * 1024;
constexpr size_t kReason = 2000;

std::string lastLine(const Fd& dir) {
  Fd file = openBeneath(dir, "ha.stdout.log", O_RDONLY);
  check(::lseek(file.get(), std::max<off_t>(0, statOf(file).st_size - kTail), SEEK_SET), "read",
        "the events");
  std::string text = readAll(file, 2 * kTail, "ha.stdout.log");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  size_t start = text.rfind('\n');
  return start == std::string::npos ? text : text.substr(start + 1);
}

}  // namespace

std::optional<VmState> lastEvent(const Fd& instanceDir) {
  VmState last;
  try {
    // The values in it may be a guest's; the form is the supervisor's, and anything else counts as nothing.
    auto status = nlohmann::json::parse(lastLine(instanceDir)).at("status");
    if (status.at("state") == "stopped") {
      last.state = rpc::VmState::STOPPED;
    } else if (status.at("state") == "suspended") {
      last.state = rpc::VmState::SUSPENDED;
    } else if (status.at("state") == "failed" && !status.at("errors").empty()) {
      last.state = rpc::VmState::FAILED;
      last.reason = escapeForTerminal(status.at("errors").at(0).get<std::string>().substr(0, kReason));
    }
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
  if (!last.ended()) return std::nullopt;
  return last;
}

}  // namespace cove
