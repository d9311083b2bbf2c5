// Adding an account to the text of /etc/passwd and its siblings. Nothing here touches a file.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace cove::agent {

// The contents of /etc/passwd, shadow, group and gshadow. gshadow is left alone where it is empty.
struct AccountFiles {
  std::string passwd, shadow, group, gshadow;
  bool operator==(const AccountFiles&) const = default;
};

struct WantedAccount {
  std::string name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string comment;
};

struct Account {
  std::string name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string home;
};

// [a-z_][a-z0-9_-]{0,31}: also what sudoers, sshd and cron take for one plain word.
bool isUserName(std::string_view name);

// The account `wanted.name`, added unless it is there, with a group of the same name as its primary one.
// `days` since the epoch is when its password counts as changed; it has none, and no other can be used.
//
// An account of that name that is there is taken as it is, unless it is one of the system's (uid below 1000):
// then Error. Ids that are taken, or are the system's, are replaced by free ones.
Account addAccount(AccountFiles& files, const WantedAccount& wanted, int64_t days);

}  // namespace cove::agent
