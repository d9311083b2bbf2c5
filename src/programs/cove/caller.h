// Who runs cove, as a user to be made in guests.
#pragma once
#include <string>
#include <string_view>

#include "rpc/agent.capnp.h"

namespace cove::cli {

// A name of the guests' grammar, [a-z_][a-z0-9_-]{0,31}, that is like `name`.
std::string guestUserName(std::string_view name);

// The effective user: his name where the grammar allows it, else one like it; his uid; his full name. Root
// stays root.
void describeCaller(rpc::GuestUser::Builder user);
// The name of the above.
std::string callerName();

}  // namespace cove::cli
