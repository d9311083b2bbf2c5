// What the host says about its guest (rpc/agent.capnp, GuestConfig), written into the guest.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "agent/accounts.h"
#include "rpc/agent.capnp.h"

namespace cove::agent {

struct Configuration {
  std::string hostname;
  WantedAccount user;
  std::vector<std::string> authorizedKeys;
  int64_t timeNs = 0;
  std::string id;  // of the instance; "" of a machine that is saved for others
};

// Checks every value; Error names the first that is wrong.
Configuration parseConfiguration(rpc::GuestConfig::Reader message);

// The steps, each of them idempotent and blocking for a few milliseconds at most.
void setClock(int64_t timeNs);
void setHostName(const std::string& name);
// The user, his home, and his sudo without a password. False when another program has the lock of the account
// files: then nothing was changed, and it is to be tried again.
bool makeUser(const Configuration& configuration);
// For sshd: in a directory that only root can write, so that no user can replace them. After makeUser().
void setAuthorizedKeys(const Configuration& configuration);

}  // namespace cove::agent
