#include "agent/init.h"

#include <climits>
#include <cstdlib>
#include <unistd.h>

#include "agent/readiness.h"
#include "base/error.h"

namespace cove::agent {

namespace {
constexpr const char* kPrograms[] = {"/sbin/init", "/usr/lib/systemd/systemd", "/lib/systemd/systemd"};
}  // namespace

Init findInit() {
  for (const char* program : kPrograms) {
    if (::access(program, X_OK) != 0) continue;
    char resolved[PATH_MAX];
    std::string name = ::realpath(program, resolved) != nullptr ? resolved : program;
    return {program, name.ends_with("/systemd")};
  }
  throw Error("the image has no init: neither /sbin/init nor systemd is there");
}

void becomeInit(const Init& init) {
  check(::setenv("NOTIFY_SOCKET", kNotifySocket, 1), "set", "NOTIFY_SOCKET");
  const char* argv[] = {init.program.c_str(), nullptr};
  ::execv(init.program.c_str(), const_cast<char**>(argv));
  throw sysError("execute", init.program);
}

}  // namespace cove::agent
