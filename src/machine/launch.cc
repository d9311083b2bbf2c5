#include "machine/launch.h"

#include <capnp/serialize.h>
#include <cerrno>
#include <kj/io.h>
#include <poll.h>
#include <unistd.h>

#include "base/error.h"
#include "base/lock.h"
#include "base/text.h"

namespace cove {

namespace {
constexpr size_t kLongestReason = 16 * 1024;
constexpr int kStartMs = 20'000;  // a loaded host; it needs 20 ms

// "R", "E" and a reason, or nothing from one that ended without a word.
std::string awaitAnswer(const Fd& ready) {
  std::string answer;
  for (;;) {
    pollfd wait{ready.get(), POLLIN, 0};
    int n = ::poll(&wait, 1, kStartMs);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw Error("cannot start a supervisor: it did not say in time that it runs");
    char buffer[4096];
    ssize_t got = ::read(ready.get(), buffer, sizeof buffer);
    if (got <= 0 || answer.size() > kLongestReason) return answer;
    answer.append(buffer, static_cast<size_t>(got));
  }
}

Fd writeConfig(rpc::VmConfig::Reader config) {
  capnp::MallocMessageBuilder message;
  message.setRoot(config);
  kj::Array<capnp::word> words = capnp::messageToFlatArray(message);
  auto bytes = words.asChars();
  const std::string_view parts[] = {{bytes.begin(), bytes.size()}};
  return makeSealedMemfd("vm-config", parts);
}
}  // namespace

Child launchSupervisor(const LaunchOptions& options) {
  Pipe ready = makePipe();
  Fd log = openBeneath(options.instanceDir, "ha.stderr.log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  Child::Spec spec;
  spec.argv = {options.program};
  spec.stdout = log.duplicate();
  spec.stderr = std::move(log);
  spec.newSession = true;
  spec.fds.emplace_back(3, writeConfig(options.config));
  spec.fds.emplace_back(4, options.instanceDir.duplicate());
  spec.fds.emplace_back(5, options.imageDir.duplicate());
  spec.fds.emplace_back(6, std::move(ready.write));
  if (options.from != nullptr) {
    spec.fds.emplace_back(7, options.from->memory.duplicate());
    spec.fds.emplace_back(8, options.from->devices.duplicate());
    spec.fds.emplace_back(9, options.from->disk.duplicate());
  }
  if (options.key != nullptr) spec.fds.emplace_back(10, packKey(*options.key));
  Child child = Child::start(std::move(spec));
  std::string answer = awaitAnswer(ready.read);
  if (answer == "R") return child;
  std::string instance = options.config.getName().cStr();
  if (!answer.empty() && answer[0] == 'E') throw Error(answer.substr(1));
  throw Error("cannot start the supervisor of " + instance + ": it ended with " + child.wait().describe());
}

bool supervisorLives(const Fd& instanceDir) { return !Lock::take(instanceDir, "vm.lock").has_value(); }

}  // namespace cove
