#include "agent/boot.h"

#include <unistd.h>

#include "agent/commands.h"
#include "agent/console.h"
#include "agent/identity.h"
#include "agent/init.h"
#include "agent/modules.h"
#include "agent/mounts.h"
#include "agent/network.h"
#include "agent/readiness.h"
#include "agent/respawner.h"
#include "agent/root.h"
#include "agent/server.h"
#include "agent/standstill.h"
#include "rpc/error.h"

namespace cove::agent {

namespace {
constexpr const char* kModuleList = "/lib/cove/modules";
constexpr const char* kNewRoot =
    "/root";  // exists in the kernel's built-in initrd; below it nothing else does
constexpr std::chrono::milliseconds kDiskLimit{10'000};

void bootInto(char** arguments) {
  mountApiFileSystems();
  loadModules(kModuleList);
  mountRoot(kRootDevice, kNewRoot, kDiskLimit);
  configureNetwork();
  ::unlink("/init");  // gives its memory back when the last of its processes ends
  switchRoot(kNewRoot);

  Init init = findInit();
  Fd notify;
  if (init.systemd) {
    notify = bindNotifySocket();
    writeCommandsUnit();
    writeStoppingUnit();
    becomeInstance(bootedInstance());
    if (isToBeSaved()) keepJournalInMemory();
  }
  startRespawner(arguments, notify, serveAgent);
  becomeInit(init);
}
}  // namespace

void boot(char** arguments) noexcept {
  try {
    bootInto(arguments);
  } catch (...) {
    giveUp(currentError().message());
  }
  giveUp("init returned");
}

}  // namespace cove::agent
