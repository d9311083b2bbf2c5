#include "target/command_spec.h"

#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "rpc/limits.h"

namespace cove {

namespace {
constexpr auto kRootPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr auto kUserPath = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";

std::string checked(capnp::Text::Reader text, const char* what) {
  std::string result(text.begin(), text.size());
  if (result.find('\0') != std::string::npos) throw Error(str("a command's ", what, " holds a zero byte"));
  return result;
}

std::vector<std::string> checkedList(capnp::List<capnp::Text>::Reader list, const char* what, size_t& bytes) {
  if (list.size() > kArguments) throw Error(str("a command has more than ", kArguments, " of ", what));
  std::vector<std::string> result;
  result.reserve(list.size());
  for (auto each : list) {
    bytes += each.size() + 1 + sizeof(char*);
    if (bytes > kCommandBytes) throw Error("a command's arguments and environment are too long");
    result.push_back(checked(each, what));
  }
  return result;
}

User userFor(const std::string& name) {
  uid_t own = ::geteuid();
  if (name.empty()) return userOf(own);
  auto user = findUser(name);
  if (!user) throw Error(str("cannot run as ", escapeForTerminal(name), ": there is no such user"));
  if (own != 0 && user->uid != own)
    throw Error("cannot run as " + user->name + ": only root can change users").status(Exit::kRefused);
  return *user;
}

// The later of two entries with one name wins, as in a shell.
void set(std::vector<std::string>& environment, std::string entry) {
  std::string_view name = std::string_view(entry).substr(0, entry.find('=') + 1);
  for (std::string& each : environment) {
    if (!each.starts_with(name)) continue;
    each = std::move(entry);
    return;
  }
  environment.push_back(std::move(entry));
}
}  // namespace

SpawnOptions specify(rpc::Command::Reader request) {
  SpawnOptions options;
  User user = userFor(checked(request.getUser(), "user"));
  size_t bytes = 0;
  options.argv = checkedList(request.getArgv(), "argument", bytes);
  if (options.argv.empty()) {  // "-bash": a login shell reads /etc/profile
    options.program = user.shell;
    options.argv = {"-" + user.shell.substr(user.shell.rfind('/') + 1)};
  }
  options.environment = {"HOME=" + user.home,
                         "USER=" + user.name,
                         "LOGNAME=" + user.name,
                         "SHELL=" + user.shell,
                         str("PATH=", user.uid == 0 ? kRootPath : kUserPath),
                         "LANG=C.UTF-8"};
  options.terminal = request.isTerminal();
  if (options.terminal) {
    std::string type = checked(request.getTerminal().getType(), "terminal type");
    options.environment.push_back("TERM=" + (type.empty() ? std::string("linux") : type));
  }
  for (std::string& entry : checkedList(request.getEnvironment(), "environment variable", bytes)) {
    size_t equals = entry.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw Error("an environment variable must be NAME=VALUE, not " + escapeForTerminal(entry));
    set(options.environment, std::move(entry));
  }
  options.workdir = checked(request.getWorkdir(), "directory");
  if (options.workdir.empty()) {
    options.workdir = user.home;
    options.workdirElse = "/";
  } else if (options.workdir[0] != '/') {
    throw Error("a command's directory must be absolute, not " + escapeForTerminal(options.workdir));
  }
  if (::geteuid() == 0) options.user = std::move(user);
  return options;
}

}  // namespace cove
