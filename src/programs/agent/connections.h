// TCP connections of the guest, after it stood still: whoever was at the other end has given it up.
#pragma once
#include <netinet/in.h>
#include <set>

namespace cove::agent {

struct AddressOrder {
  bool operator()(const in6_addr& a, const in6_addr& b) const;
};
// Of this machine; IPv4 as mapped into IPv6.
using Addresses = std::set<in6_addr, AddressOrder>;
// Whether a connection with that peer stays within the machine.
bool staysInside(const in6_addr& peer, const Addresses& own);

// Resets those to others (sock_diag(7), SOCK_DESTROY), so that nobody waits for what never comes; those
// between the machine's own processes go on. In every network namespace of its processes. An Error where the
// kernel cannot do it. Changes the namespace of the caller: for a child.
void resetOutsideConnections();

}  // namespace cove::agent
