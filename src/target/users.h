// Users as /etc/passwd and /etc/group have them, read directly: the agent is static and has no NSS.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace cove {

struct User {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home;   // "/" where passwd has none
  std::string shell;  // "/bin/sh" where passwd has none
};

// By name, else by number. A number without an entry is a user without a name, home or groups.
std::optional<User> findUser(std::string_view nameOrNumber);
User userOf(uid_t uid);
// The user's own group and those that list him.
std::vector<gid_t> groupsOf(const User& user);

}  // namespace cove
