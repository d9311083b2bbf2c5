#include <optional>
#include <unistd.h>

#include "base/text.h"
#include "cove/commands/all.h"
#include "cove/escape_filter.h"
#include "cove/pump.h"
#include "cove/raw_terminal.h"
#include "cove/session.h"
#include "rpc/co.h"
#include "rpc/limits.h"
#include "rpc/stream.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Connects the terminal to an instance's serial console, beginning with what it printed last. It works while the
machine boots and when nothing else in it does. **Ctrl-] three times** leaves it; the machine goes on.

What the guest prints reaches the terminal as it is. Without a terminal on standard input nothing is special in
the input, and its end does not end the console.
)";

// Sends what is typed, until the escape sequence; at the end of input it only waits.
co::Co<void> sendTyped(kj::UnixEventPort& port, Fd typed, rpc::ByteSink::Client sink, bool hasEscape) {
  setNonblocking(typed);
  EscapeFilter filter;
  uint64_t offset = 0;
  char buffer[4096];
  while (true) {
    co_await whenReadable(port, typed.get());
    ssize_t count = read(typed.get(), buffer, sizeof buffer);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count <= 0) break;
    EscapeFilter::Result result = {std::string(buffer, count), false};
    if (hasEscape) result = filter.feed(result.pass);
    if (!result.pass.empty()) {
      auto request = sink.writeRequest();
      request.setOffset(offset);
      request.setData(
          kj::arrayPtr(reinterpret_cast<const kj::byte*>(result.pass.data()), result.pass.size()));
      offset += result.pass.size();
      co_await request.send();
    }
    if (result.leave) co_return;
  }
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

class Console final : public Action {
 public:
  void declare(Arguments& arguments) override { arguments.instance(name_); }

  int run(Context& context) override {
    auto session = Session::connect(context, name_);
    auto& port = context.io().unixEventPort;
    bool typed = context.isTerminal(STDIN_FILENO);
    if (typed) context.say(str("console of ", name_, "; Ctrl-] three times leaves it"));
    WriteThrough output(STDOUT_FILENO);
    auto receiver = kj::refcounted<StreamReceiver>(port, output.takeInput());
    auto request = session->client().consoleRequest();
    request.setOutput(receiver->makeSink());
    auto response = context.wait(request.send());
    {
      std::optional<RawTerminal> raw;
      if (typed) raw.emplace(STDIN_FILENO);
      auto sending = sendTyped(port, readThrough(STDIN_FILENO), response.getInput(), typed);
      context.wait(sending.exclusiveJoin(whenReadable(port, output.finished().get()))
                       .exclusiveJoin(session->onDisconnect()));
    }
    receiver->close();
    output.drain();
    if (typed) context.say("left the console");
    return 0;
  }

 private:
  std::string name_;
};

}  // namespace

constinit const Command kConsole = {
    .name = "console",
    .summary = "Connect to the serial console of an instance",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<Console>,
};

}  // namespace cove::cli
