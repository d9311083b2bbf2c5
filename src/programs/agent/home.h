// A user's home directory.
#pragma once
#include "agent/accounts.h"

namespace cove::agent {

// Makes /home/NAME from /etc/skel, owned by the account, 0700. It appears whole or not at all. One that is
// there is left alone, whatever it holds, if it is a directory of that user; Error otherwise.
void makeHome(const Account& account);

}  // namespace cove::agent
