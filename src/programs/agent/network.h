// The guest's network, as cove's user network always is: no DHCP, which would cost a round trip and a daemon.
#pragma once

namespace cove::agent {

// Brings up the loopback and gives eth0 10.0.2.15/24 with the default route 10.0.2.2. IPv6 is left to the
// kernel (router advertisements). A machine without eth0 stays without it.
void configureNetwork();

}  // namespace cove::agent
