// cove-network: the network of one guest. Started by cove-vm, with descriptors and without arguments.
#include <csignal>

#include "machine/network_process.h"

int main() {
  ::signal(SIGPIPE, SIG_IGN);
  return cove::network::runNetworkProcess(cove::Fd(cove::network::kFramesFd),
                                          cove::Fd(cove::network::kReadinessFd));
}
