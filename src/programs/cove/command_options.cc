#include "cove/command_options.h"

#include <cctype>
#include <cstdlib>
#include <unistd.h>

#include "base/text.h"
#include "cove/session.h"
#include "cove/stdio.h"
#include "rpc/stream.h"
#include "target/client.h"

namespace cove::cli {

namespace {

bool isVariableName(std::string_view name) {
  for (char c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') return false;
  }
  return !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0]));
}

int finish(Context& context, const CommandEnd& end) {
  if (end.message.empty()) return end.status;
  // A command that had the terminal left the cursor anywhere.
  if (context.isTerminal(STDOUT_FILENO) && context.isTerminal(STDERR_FILENO)) writeErr("\n");
  context.complain(end.message);
  return end.status;
}

}  // namespace

void CommandWords::declare(Arguments& arguments) {
  arguments
      .option(
          "--env", "K[=V]",
          [this](const std::string& text) {
            if (auto entry = environmentEntry(text)) environment.push_back(*entry);
          },
          "a variable for the command; without a value, with the one it has here")
      .brief('e')
      .repeats();
  arguments.option("--user", "USER", user, "run as this user of the guest, a name or a number").brief('u');
  arguments
      .option(
          "--workdir", "DIR",
          [this](const std::string& text) {
            if (!text.starts_with('/')) throw usageError("--workdir: the directory must begin with /");
            workdir = text;
          },
          "directory in the guest to run it in")
      .brief('w');
  arguments.option(
      "--timeout", "TIME", [this](const std::string& text) { timeoutMs = durationValue("--timeout", text); },
      "end the command when this has passed, with exit status 124");
  arguments.command(argv, "the command and its arguments; a login shell where none is given");
}

std::optional<std::string> environmentEntry(const std::string& text) {
  std::string name = text.substr(0, text.find('='));
  if (!isVariableName(name)) {
    throw usageError(str("--env: \"", escapeForTerminal(name), "\" is not the name of a variable"));
  }
  if (name.size() < text.size()) return text;
  const char* value = getenv(name.c_str());
  if (!value) return std::nullopt;
  return name + "=" + value;
}

bool wantsTerminal(const Context& context, const CommandWords& words) {
  return context.isTerminal(STDIN_FILENO) && context.isTerminal(STDOUT_FILENO) &&
         (words.argv.empty() || context.isTerminal(STDERR_FILENO));
}

int runOn(Context& context, rpc::Target::Client target, const CommandWords& words) {
  context.progress().clear();
  CommandOptions options;
  options.argv = words.argv;
  options.environment = words.environment;
  options.user = words.user;
  options.workdir = words.workdir;
  options.timeoutMs = words.timeoutMs;
  options.terminal = wantsTerminal(context, words);
  auto& io = context.io();
  auto ended = runCommand(io.unixEventPort, kj::mv(target), kj::mv(options));
  return finish(context, fromGuest([&] { return ended.wait(io.waitScope); }));  // it takes the signals itself
}

int attachOn(Context& context, rpc::Target::Client target, uint64_t id) {
  context.progress().clear();
  auto& io = context.io();
  auto ended = attachCommand(io.unixEventPort, kj::mv(target), id);
  return finish(context, fromGuest([&] { return ended.wait(io.waitScope); }));
}

uint64_t startOn(Context& context, rpc::Target::Client target, const CommandWords& words) {
  auto request = target.execRequest();
  auto command = request.initCommand();
  auto argv = command.initArgv(words.argv.size());
  for (size_t i = 0; i < words.argv.size(); ++i) argv.set(i, words.argv[i]);
  auto environment = command.initEnvironment(words.environment.size());
  for (size_t i = 0; i < words.environment.size(); ++i) environment.set(i, words.environment[i]);
  command.setUser(words.user);
  command.setWorkdir(words.workdir);
  command.setTimeoutMs(words.timeoutMs);
  command.setNoStdin(true);
  // It shall not lose output to a client that is about to leave: sinks that never answer make it keep all.
  auto never = kj::newPromiseAndFulfiller<rpc::ByteSink::Client>();
  request.setStdout(rpc::ByteSink::Client(kj::mv(never.promise)));
  auto neverToo = kj::newPromiseAndFulfiller<rpc::ByteSink::Client>();
  request.setStderr(rpc::ByteSink::Client(kj::mv(neverToo.promise)));
  return fromGuest([&] { return context.wait(request.send()); }).getId();
}

}  // namespace cove::cli
