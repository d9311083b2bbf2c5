#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/text.h"
#include "base/version.h"
#include "cove/context.h"
#include "cove/doctor/check.h"
#include "rpc/error.h"

namespace cove::cli {

namespace {

// Not by openStateDir(), which makes it where it is missing.
Check stateDirectory() {
  std::string path = stateDirPath();
  std::string shown = shortPath(path);
  struct stat info = {};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {"state directory", Health::kGood, shown + ", made when it is needed"};
    return {"state directory", Health::kBroken, sysError("examine", shown).message()};
  }
  if (!S_ISDIR(info.st_mode)) {
    return {"state directory", Health::kBroken, shown + " is no directory", "set COVE_HOME to another path"};
  }
  if (info.st_uid != geteuid()) {
    return {"state directory", Health::kBroken, str(shown, " belongs to uid ", info.st_uid),
            "set COVE_HOME to a directory of your own"};
  }
  if (info.st_mode & 077) {
    return {"state directory", Health::kBroken, shown + " is open to other users", "chmod 700 " + shown};
  }
  return {"state directory", Health::kGood, shown};
}

Check runtimeDirectory() {
  try {
    return {"runtime directory", Health::kGood, openRuntimeDir().path};
  } catch (const Error& error) {
    return {"runtime directory", Health::kBroken, error.message(), error.hint()};
  }
}

Check daemonState(Context& context) {
  try {
    auto client = context.wait(DaemonClient::connect(context.io(), Autostart::kNo, [](std::string_view) {}));
    if (!client) return {"daemon", Health::kGood, "not running; it starts when it is needed"};
    auto response = context.wait(client->daemon().stateRequest().send());
    auto info = response.getInfo();
    return {"daemon", Health::kGood,
            cove::str("pid ", info.getPid(), ", version ", info.getVersion(), ", ", info.getMachines(),
                      info.getMachines() == 1 ? " machine runs" : " machines run")};
  } catch (const Interrupted&) {
    throw;
  } catch (...) {
    Error error = currentError();
    return {"daemon", Health::kBroken, error.message(), error.hint()};
  }
}

Check programs() {
  try {
    programPath("coved");
    programPath("cove-vm");
    return {"cove", Health::kGood, std::string(version())};
  } catch (const Error& error) {
    return {"cove", Health::kBroken, error.message(), "install cove again"};
  }
}

}  // namespace

std::vector<Check> checkState(Context& context) {
  return {programs(), stateDirectory(), runtimeDirectory(), daemonState(context)};
}

}  // namespace cove::cli
