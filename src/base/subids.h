// The ids that an unprivileged user may use inside a user namespace (subuid(5), subgid(5)).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace cove {

struct IdRange {
  uint32_t first = 0;
  uint32_t count = 0;
};

// The ranges of one user in the text of /etc/subuid or /etc/subgid, in the file's order: lines that name him
// or his uid. Lines that are no "WHO:FIRST:COUNT" are left out, as newuidmap does.
std::vector<IdRange> parseSubIds(std::string_view text, std::string_view user, uid_t uid);

// How 0 to 65535 of a user namespace lie outside. Debian uses ids up to 65534 (nobody).
inline constexpr uint32_t kSubIds = 65535;
struct IdMap {
  bool direct = false;        // root writes the maps himself: `uids` and `gids` are one range each, from 0
  uint32_t uid = 0, gid = 0;  // what 0 becomes
  std::vector<IdRange> uids, gids;  // what 1 and the following become, kSubIds of them
};

// A plain user: 0 is himself, 1… his sub-ids. root: a range that no account and no sub-id uses, so that who
// escapes owns nothing on the host. An Error says what is missing and the command that mends it.
IdMap subIdMap();

// Writes the maps of `pid`, which has just made its user namespace, with newuidmap and newgidmap, or
// directly.
void applyIdMap(const IdMap& map, pid_t pid);

// The line that gives `user` sub-ids that nobody else has, given the texts of both files.
std::string addSubIdsCommand(std::string_view user, std::string_view subuid, std::string_view subgid);

}  // namespace cove
