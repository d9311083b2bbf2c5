#include "agent/accounts.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace cove::agent {

namespace {
// UID_MIN and UID_MAX of login.defs; 65534 is nobody, 65535 and 2^32-1 mean "no id" to some kernel interface.
constexpr uint32_t kFirstId = 1000;
constexpr uint32_t kLastFreeId = 59999;
constexpr size_t kLongestComment = 128;

using Fields = std::vector<std::string_view>;

std::vector<Fields> parse(std::string_view text) {
  std::vector<Fields> entries;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    Fields fields;
    for (size_t at = 0; at <= line.size();) {
      size_t colon = std::min(line.find(':', at), line.size());
      fields.push_back(line.substr(at, colon - at));
      at = colon + 1;
    }
    entries.push_back(std::move(fields));
  }
  return entries;
}

std::optional<uint32_t> parseId(std::string_view text) {
  uint32_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

std::optional<Fields> findName(std::string_view text, std::string_view name) {
  for (Fields& fields : parse(text))
    if (fields[0] == name) return std::move(fields);
  return std::nullopt;
}

// The third field of passwd and of group.
std::set<uint32_t> idsOf(std::string_view text) {
  std::set<uint32_t> ids;
  for (const Fields& fields : parse(text))
    if (fields.size() > 2)
      if (auto id = parseId(fields[2])) ids.insert(*id);
  return ids;
}

bool isOrdinaryId(uint32_t id) { return id >= kFirstId && id != 65534 && id != 65535 && id != UINT32_MAX; }

uint32_t chooseId(const std::set<uint32_t>& taken, uint32_t wanted) {
  if (isOrdinaryId(wanted) && !taken.contains(wanted)) return wanted;
  for (uint32_t id = kFirstId; id <= kLastFreeId; ++id)
    if (!taken.contains(id)) return id;
  throw Error("cannot add a user: no user or group id between 1000 and 59999 is free");
}

void append(std::string& text, const std::string& line) {
  if (!text.empty() && text.back() != '\n') text += '\n';
  text += line + "\n";
}

std::string cleanComment(std::string_view comment) {
  std::string clean;
  for (char c : comment.substr(0, kLongestComment))
    if (c != ':' && static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) clean += c;
  return clean;
}

uint32_t addGroup(AccountFiles& files, const WantedAccount& wanted) {
  if (auto there = findName(files.group, wanted.name))
    if (there->size() > 2)
      if (auto id = parseId((*there)[2]); id && isOrdinaryId(*id)) return *id;
  if (findName(files.group, wanted.name))
    throw Error(str("cannot add the user ", wanted.name, ": the guest has a system group of that name"))
        .hint("Choose another name with --user.");
  uint32_t gid = chooseId(idsOf(files.group), wanted.gid);
  append(files.group, str(wanted.name, ":x:", gid, ":"));
  if (!files.gshadow.empty() && !findName(files.gshadow, wanted.name))
    append(files.gshadow, wanted.name + ":!::");
  return gid;
}

Account takeExisting(const Fields& fields, const std::string& name) {
  std::optional<uint32_t> uid = fields.size() > 5 ? parseId(fields[2]) : std::nullopt;
  std::optional<uint32_t> gid = fields.size() > 5 ? parseId(fields[3]) : std::nullopt;
  if (!uid || !gid) throw Error("cannot use the user " + name + ": its line in /etc/passwd is damaged");
  if (!isOrdinaryId(*uid))
    throw Error(
        str("cannot add the user ", name, ": the guest has a system account of that name (uid ", *uid, ")"))
        .hint("Choose another name with --user.");
  return {name, *uid, *gid, std::string(fields[5])};
}
}  // namespace

bool isUserName(std::string_view name) {
  auto isFirst = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  auto isNext = [&](char c) { return isFirst(c) || (c >= '0' && c <= '9') || c == '-'; };
  return !name.empty() && name.size() <= 32 && isFirst(name[0]) && std::ranges::all_of(name, isNext);
}

Account addAccount(AccountFiles& files, const WantedAccount& wanted, int64_t days) {
  if (!isUserName(wanted.name))
    throw Error("cannot add the user \"" + wanted.name + "\": names are a-z, 0-9, _ and -, at most 32");
  if (auto there = findName(files.passwd, wanted.name)) return takeExisting(*there, wanted.name);
  uint32_t gid = addGroup(files, wanted);
  uint32_t uid = chooseId(idsOf(files.passwd), wanted.uid);
  Account account{wanted.name, uid, gid, "/home/" + wanted.name};
  // "*" is a password that nothing matches. With "!" before it sshd would refuse keys too when it runs
  // without PAM.
  if (!findName(files.shadow, wanted.name))
    append(files.shadow, str(wanted.name, ":*:", days, ":0:99999:7:::"));
  append(files.passwd, str(wanted.name, ":x:", uid, ":", gid, ":", cleanComment(wanted.comment), ":",
                           account.home, ":/bin/bash"));
  return account;
}

}  // namespace cove::agent
