// cove-agent: the first process of a cove machine, and what its host talks to ever after.
#include <cstdio>
#include <unistd.h>

#include "agent/boot.h"

int main(int, char** argv) {
  if (::getpid() != 1) {
    std::fputs("cove-agent: runs only as the first process of a machine that cove starts\n", stderr);
    return 2;
  }
  cove::agent::boot(argv);
}
