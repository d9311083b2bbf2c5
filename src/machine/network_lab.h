// For tests: a host, a guest and an internet, each a network namespace of its own. Needs root.
//
//   guest 10.0.2.15, fec0::15 ──tap── frames ── cove-network in: host 203.0.113.2, 2001:db8::2 ──veth──
//   internet
//
// The calling process becomes the host, with a private and empty /etc. What a guest must not reach is all
// there and answers: loopback, the host's addresses, whole local prefixes, metadata addresses in the
// "internet".
#pragma once
#include <set>
#include <string>
#include <vector>

#include "base/child.h"

namespace cove::network {

struct Place {
  std::string address;
  int port = 0;
  bool udp = false;
  std::string name() const { return address + (udp ? " udp " : " tcp ") + std::to_string(port); }
};

class Lab {
 public:
  Lab();
  void startGuest();  // cove-network, and the guest's link to it

  const Fd& host() const { return host_; }
  const Fd& guest() const { return guest_; }
  void hostRun(const std::string& command) const { run(host_, command); }
  void guestRun(const std::string& command) const { run(guest_, command); }
  // Which of these places answer whom, tried at once for up to two seconds, and what they said: "NAME: WHO".
  std::set<std::string> reached(const Fd& from, const std::vector<Place>& places) const;
  // A server in the namespace that says `who` to everybody, on all addresses or one.
  void serve(const Fd& where, std::string who, std::string address, std::vector<int> ports);
  Child& network() { return network_.front(); }

 private:
  void run(const Fd& where, const std::string& command) const;

  Fd guest_, internet_, host_, tap_;
  std::vector<Child> servers_, network_;
};

}  // namespace cove::network
