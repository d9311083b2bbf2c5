// Stands in QEMU's place in tests: speaks QMP and the agent's part, and misbehaves as the kernel's command
// line tells it ("cove.fake=WORD", further words for `escape`).
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <kj/async-io.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <unistd.h>
#include <utility>

#include "base/fd.h"
#include "base/text.h"
#include "hypervisor/qemu_command.h"
#include "machine/testing/escape.h"
#include "rpc/agent.capnp.h"
#include "rpc/channel.h"
#include "rpc/co.h"
#include "rpc/connection.h"

namespace cove {
namespace {

constexpr const char* kGreeting =
    "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":0,\"minor\":0,\"major\":9},\"package\":\"\"},"
    "\"capabilities\":[]}}";

class Qemu {
 public:
  Qemu(kj::AsyncIoContext& io, std::string mode) : io_(io), mode_(std::move(mode)) {}

  void say(const std::string& line) { writeAll(control_, line + "\r\n", "QMP"); }
  void event(const std::string& name, const std::string& data) {
    say(R"({"event":")" + name + R"(","data":)" + data + "}");
  }
  void shutDown(const char* reason) { event("SHUTDOWN", str(R"({"guest":true,"reason":")", reason, "\"}")); }
  void print(const std::string& text) { writeAll(console_, text, "console"); }

  co::Co<void> serveControl();
  void onCommand(const nlohmann::json& command);
  void onResumeCommand(const std::string& name);
  const std::string& mode() const { return mode_; }
  kj::Timer& timer() { return io_.provider->getTimer(); }
  bool stoppedBefore() { return std::exchange(stopped_, true); }

 private:
  kj::AsyncIoContext& io_;
  std::string mode_;
  bool stopped_ = false;
  kj::Promise<void> later_ = nullptr;
  Fd control_{kQemuControl}, console_{kQemuConsole};
};

co::Co<void> Qemu::serveControl() {
  say(mode_ == "qmp-garbage" ? "{\"QMP\":{\"version\":[[[" : kGreeting);
  std::string buffer;
  for (;;) {
    co_await whenReadable(io_.unixEventPort, control_.get());
    char data[4096];
    ssize_t n = ::read(control_.get(), data, sizeof data);
    if (n <= 0) ::_exit(0);
    buffer.append(data, static_cast<size_t>(n));
    for (size_t end; (end = buffer.find('\n')) != std::string::npos; buffer.erase(0, end + 1))
      onCommand(nlohmann::json::parse(buffer.substr(0, end)));
  }
}

void Qemu::onCommand(const nlohmann::json& command) {
  std::string name = command.at("execute");
  if (mode_ == "qmp-silent" && name != "qmp_capabilities") return;
  if (mode_ == "resume-vague" && name == "job-complete")
    return say(
        nlohmann::json{{"error", {{"class", "GenericError"}, {"desc", "perhaps"}}}, {"id", command.at("id")}}
            .dump());
  say(nlohmann::json{{"return", nlohmann::json::object()}, {"id", command.at("id")}}.dump());
  if (name == "quit") ::_exit(0);
  if (name == "system_reset") event("RESET", "{}");
  if (name.starts_with("migrate") && name != "migrate-set-capabilities")
    event("MIGRATION", R"({"status":"completed"})");
  if (mode_.starts_with("resume")) onResumeCommand(name);
}

// What it is told is in the console's log.
void Qemu::onResumeCommand(const std::string& name) {
  print(name + "\n");
  if (name == "block-commit" && mode_ == "resume-full")
    event("BLOCK_JOB_COMPLETED", R"({"device":"merge","error":"No space left on device"})");
  else if (name == "block-commit" && mode_ == "resume-slowly")
    later_ = timer()
                 .afterDelay(1 * kj::SECONDS)
                 .then([this] { event("BLOCK_JOB_READY", R"({"device":"merge"})"); })
                 .eagerlyEvaluate(nullptr);
  else if (name == "block-commit")
    event("BLOCK_JOB_READY", R"({"device":"merge"})");
  if (name == "job-complete") event("BLOCK_JOB_COMPLETED", R"({"device":"merge"})");
  if (name == "cont" && mode_ == "resume-resets") shutDown("guest-reset");
}

class FakeAgent final : public rpc::Agent::Server {
 public:
  explicit FakeAgent(Qemu& qemu) : qemu_(qemu) {}
  kj::Promise<void> configure(ConfigureContext) override { return kj::READY_NOW; }
  kj::Promise<void> target(TargetContext context) override {
    context.getResults().setTarget(kj::heap<FakeTarget>());
    return kj::READY_NOW;
  }
  kj::Promise<void> waitReady(WaitReadyContext context) override {
    if (qemu_.mode() == "stall") return kj::NEVER_DONE;
    context.getResults().setDegraded(true);
    context.getResults().initFailedUnits(1).set(0, "evil\x1b[2J.service");
    if (qemu_.mode() == "disk-full")
      qemu_.event("BLOCK_IO_ERROR",
                  R"({"action":"stop","nospace":true,"reason":"No space","operation":"write"})");
    if (qemu_.mode() == "reboot-once") qemu_.shutDown("guest-reset");
    return kj::READY_NOW;
  }
  kj::Promise<void> waitStopping(WaitStoppingContext) override {
    if (!qemu_.mode().starts_with("says-it-stops") || qemu_.stoppedBefore()) return kj::NEVER_DONE;
    if (qemu_.mode() == "says-it-stops-and-reboots")
      reboot_ = qemu_.timer()
                    .afterDelay(500 * kj::MILLISECONDS)
                    .then([this] { qemu_.shutDown("guest-reset"); })
                    .eagerlyEvaluate(nullptr);
    return qemu_.timer().afterDelay(200 * kj::MILLISECONDS);
  }
  kj::Promise<void> standStill(StandStillContext) override {
    qemu_.print("standStill\n");
    return kj::READY_NOW;
  }
  kj::Promise<void> goOn(GoOnContext) override { return kj::READY_NOW; }
  kj::Promise<void> setClock(SetClockContext context) override {
    qemu_.print(str("clock ", context.getParams().getTimeNs(), "\n"));
    return kj::READY_NOW;
  }
  kj::Promise<void> powerOff(PowerOffContext) override {
    if (qemu_.mode() != "no-poweroff") qemu_.shutDown("guest-shutdown");
    return kj::READY_NOW;
  }
  kj::Promise<void> sshHostKey(SshHostKeyContext context) override {
    // Not thrown: a sanitizer finds no stack to unwind in a process without /proc.
    if (qemu_.mode() == "no-ssh-key") return KJ_EXCEPTION(FAILED, "no key \x1b[2J");
    context.getResults().setPublicKey("ssh-ed25519 AAAA\x1b]0;x");
    return kj::READY_NOW;
  }

 private:
  struct FakeTarget final : rpc::Target::Server {};
  Qemu& qemu_;
  kj::Promise<void> reboot_ = nullptr;
};

// Questions to a host that serves nothing, which are never finished, so that their answers pile up there.
co::Co<void> hoard(kj::Own<kj::AsyncIoStream> stream) {
  for (uint32_t id = 0;; ++id) {
    capnp::MallocMessageBuilder message;
    message.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(id);
    auto words = capnp::messageToFlatArray(message);
    auto bytes = words.asBytes();
    co_await stream->write(bytes.begin(), bytes.size());
  }
}

co::Co<void> serveAgent(kj::AsyncIoContext& io, Qemu& qemu) {
  ChannelServer channel(io.unixEventPort, Fd(kQemuAgent));
  for (;;) {
    auto stream = co_await channel.accept();
    if (qemu.mode() == "agent-breaks") continue;
    if (qemu.mode() == "hoard") {
      kj::Promise<void> hoarding = kj::Promise<void>(hoard(kj::mv(stream))).catch_([](kj::Exception&&) {});
      co_await hoarding;
      continue;
    }
    Connection connection(kj::mv(stream), Side::kServer, kj::heap<FakeAgent>(qemu));
    if (qemu.mode() == "agent-restarts") {
      co_await qemu.timer().afterDelay(300 * kj::MILLISECONDS);
      ::_exit(0);
    }
    co_await connection.onDisconnect();
  }
}

// Never comes back.
void floodAgent(bool zeros) {
  std::string block(65536, '\0');
  if (!zeros)
    for (char& c : block) c = static_cast<char>(std::rand());
  for (;;) writeAll(Fd(::dup(kQemuAgent)), block, "the agent's port");
}

std::string argumentAfter(int argc, char** argv, const std::string& option) {
  for (int i = 1; i + 1 < argc; ++i)
    if (option == argv[i]) return argv[i + 1];
  return {};
}

int run(int argc, char** argv) {
  std::istringstream words(argumentAfter(argc, argv, "-append"));
  std::string mode, word;
  std::vector<std::string> rest;
  while (words >> word) {
    if (word.starts_with("cove.fake="))
      mode = word.substr(10);
    else if (!mode.empty())
      rest.push_back(word);
  }
  ::signal(SIGPIPE, SIG_IGN);
  if (mode == "die") {
    std::fputs("could not set up \x1b[31mhost memory\n", stderr);
    return 1;
  }
  if (mode == "mute") ::pause();
  auto io = kj::setupAsyncIo();
  Qemu qemu(io, mode);
  if (mode == "escape") qemu.print(tryToEscape(argv[0], rest));
  auto control = kj::Promise<void>(qemu.serveControl()).eagerlyEvaluate(nullptr);
  if (mode == "garbage" || mode == "flood") {
    kj::Promise<void> started = qemu.timer().afterDelay(200 * kj::MILLISECONDS);
    started.wait(io.waitScope);
    floodAgent(mode == "flood");
  }
  if (mode == "panic") {
    qemu.timer().afterDelay(200 * kj::MILLISECONDS).wait(io.waitScope);
    qemu.print("[ 1.0] Kernel panic - not syncing: \x1b[31mno init\r\n[ 1.1] rest\r\n");
    qemu.shutDown("guest-reset");
  }
  if (mode != "silent" && mode != "panic" && mode != "resume-silent" && mode != "resume-resets")
    serveAgent(io, qemu).wait(io.waitScope);
  control.wait(io.waitScope);
  return 0;
}

}  // namespace
}  // namespace cove

int main(int argc, char** argv) { return cove::run(argc, argv); }
