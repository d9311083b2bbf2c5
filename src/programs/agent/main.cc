// cove-agent: the first process of a cove machine, and what its host talks to ever after.
#include <cstdio>
#include <string_view>
#include <unistd.h>

#include "agent/boot.h"
#include "agent/respawner.h"
#include "agent/server.h"
#include "agent/standstill.h"

int main(int argc, char** argv) {
  using namespace cove::agent;
  if (::getpid() == 1) boot(argv);
  if (argc == 1 && argv[0] == std::string_view(kWarmUpName)) warmUp();
  if (argc == 2 && std::string_view(argv[1]) == kRespawn) resumeRespawner(argv, serveAgent);
  std::fputs("cove-agent: runs only as the first process of a machine that cove starts\n", stderr);
  return 2;
}
