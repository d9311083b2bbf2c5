#include "agent/port.h"

#include <chrono>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>

#include "base/error.h"

namespace cove::agent {

namespace {
using std::chrono::milliseconds;
constexpr std::string_view kName = "org.cove.agent";
constexpr const char* kPorts = "/sys/class/virtio-ports";

// Its number (vport1p1) depends on the order in which the bus was probed.
std::optional<std::string> findPort() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(kPorts, ignored)) {
    try {
      std::string name = readFile(entry.path() / "name", 256);
      if (name == std::string(kName) + "\n") return "/dev/" + entry.path().filename().string();
    } catch (const Error&) {  // a port without a name
    }
  }
  return std::nullopt;
}
}  // namespace

Fd openPort() {
  constexpr milliseconds kLimit{5000}, kStep{5};
  for (milliseconds waited{0}; waited < kLimit; waited += kStep) {
    if (std::optional<std::string> path = findPort()) return openFile(*path, O_RDWR | O_NOCTTY);
    timespec pause{0, std::chrono::nanoseconds(kStep).count()};
    ::nanosleep(&pause, nullptr);
  }
  throw Error("cannot find the virtio port " + std::string(kName) + " of the host");
}

}  // namespace cove::agent
