#include "cove/caller.h"

#include <pwd.h>
#include <unistd.h>

#include "base/text.h"

namespace cove::cli {

namespace {

constexpr size_t kLongestName = 32;
constexpr size_t kLongestComment = 128;

// The first part of the GECOS field, with nothing that could end the field or the line of a passwd file.
std::string fullName(std::string_view gecos) {
  std::string name;
  for (char c : gecos.substr(0, gecos.find(','))) {
    if (c == ':' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f) continue;
    name += c;
  }
  if (name.size() > kLongestComment || escapeForTerminal(name) != name) return {};
  return name;
}

}  // namespace

std::string guestUserName(std::string_view name) {
  std::string result;
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    bool first = (c >= 'a' && c <= 'z') || c == '_';
    bool later = first || (c >= '0' && c <= '9') || c == '-';
    if (later && !first && result.empty()) result = "_";
    if (later && result.size() < kLongestName) result += c;
  }
  return result.empty() ? "user" : result;
}

void describeCaller(rpc::GuestUser::Builder user) {
  uid_t uid = geteuid();
  user.setUid(uid);
  if (uid == 0) {
    user.setName("root");
    return;
  }
  const struct passwd* entry = getpwuid(uid);
  user.setName(guestUserName(entry ? entry->pw_name : ""));
  user.setGid(entry ? entry->pw_gid : getegid());
  if (entry && entry->pw_gecos) user.setComment(fullName(entry->pw_gecos));
}

std::string callerName() {
  if (geteuid() == 0) return "root";
  const struct passwd* entry = getpwuid(geteuid());
  return guestUserName(entry ? entry->pw_name : "");
}

}  // namespace cove::cli
