#include "target/users.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>

#include "base/error.h"
#include "base/fd.h"

namespace cove {

namespace {
constexpr size_t kLargestFile = 4 * 1024 * 1024;

template <size_t N>
std::array<std::string_view, N> fields(std::string_view line, char separator) {
  std::array<std::string_view, N> result;
  for (size_t i = 0; i < N; ++i) {
    size_t at = line.find(separator);
    result[i] = line.substr(0, at);
    if (at == std::string_view::npos) break;
    line.remove_prefix(at + 1);
  }
  return result;
}

// Until `each` returns false.
void forLines(const std::string& text, const std::function<bool(std::string_view)>& each) {
  std::string_view rest = text;
  while (!rest.empty()) {
    size_t at = rest.find('\n');
    if (!each(rest.substr(0, at)) || at == std::string_view::npos) return;
    rest.remove_prefix(at + 1);
  }
}

std::optional<uint32_t> number(std::string_view text) {
  uint32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string readIfThere(const std::string& path) {
  try {
    return readFile(path, kLargestFile);
  } catch (const Error& e) {
    if (e.code() == ENOENT) return {};
    throw;
  }
}

std::optional<User> findEntry(const std::function<bool(const User&)>& wanted) {
  std::optional<User> found;
  forLines(readIfThere("/etc/passwd"), [&](std::string_view line) {
    auto [name, password, uid, gid, comment, home, shell] = fields<7>(line, ':');
    auto u = number(uid), g = number(gid);
    if (name.empty() || !u || !g) return true;
    User user{std::string(name), *u, *g, std::string(home.empty() ? "/" : home),
              std::string(shell.empty() ? "/bin/sh" : shell)};
    if (wanted(user)) found = std::move(user);
    return !found;
  });
  return found;
}
}  // namespace

std::optional<User> findUser(std::string_view nameOrNumber) {
  if (auto user = findEntry([&](const User& u) { return u.name == nameOrNumber; })) return user;
  // (uid_t)-1 means "no change" to the system calls.
  if (auto uid = number(nameOrNumber); uid && *uid != static_cast<uid_t>(-1)) return userOf(*uid);
  return std::nullopt;
}

User userOf(uid_t uid) {
  if (auto user = findEntry([&](const User& u) { return u.uid == uid; })) return *user;
  return {std::to_string(uid), uid, uid, "/", "/bin/sh"};
}

std::vector<gid_t> groupsOf(const User& user) {
  std::vector<gid_t> groups{user.gid};
  forLines(readIfThere("/etc/group"), [&](std::string_view line) {
    auto [name, password, gid, members] = fields<4>(line, ':');
    auto group = number(gid);
    while (group && !members.empty()) {
      size_t at = members.find(',');
      if (members.substr(0, at) == user.name &&
          std::find(groups.begin(), groups.end(), *group) == groups.end())
        groups.push_back(*group);
      if (at == std::string_view::npos) break;
      members.remove_prefix(at + 1);
    }
    return true;
  });
  return groups;
}

}  // namespace cove
