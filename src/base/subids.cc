#include "base/subids.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <pwd.h>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

namespace cove {

namespace {

constexpr size_t kLargestFile = 16 << 20;
// Where useradd looks for new ranges (login.defs: SUB_UID_MIN, SUB_UID_MAX).
constexpr uint64_t kFirstSubId = 100'000;
constexpr uint32_t kBlock = 65536;

struct Line {
  std::string_view who;
  IdRange range;
};

std::optional<uint32_t> number(std::string_view text) {
  uint32_t value = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<Line> parseLines(std::string_view text) {
  std::vector<Line> lines;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    size_t first = line.find(':');
    size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (first == 0 || second == std::string_view::npos) continue;
    auto start = number(line.substr(first + 1, second - first - 1));
    auto count = number(line.substr(second + 1));
    if (!start || !count || *count == 0 || *start > UINT32_MAX - *count) continue;
    lines.push_back({line.substr(0, first), {*start, *count}});
  }
  return lines;
}

bool overlaps(const IdRange& a, const IdRange& b) {
  return uint64_t{a.first} < uint64_t{b.first} + b.count && uint64_t{b.first} < uint64_t{a.first} + a.count;
}

// The first block from `from` on, aligned to `step`, that none of `taken` touches.
uint32_t freeBlock(uint64_t from, const std::vector<IdRange>& taken) {
  IdRange block{static_cast<uint32_t>(from), kBlock};
  for (bool moved = true; moved;) {
    moved = false;
    for (const IdRange& other : taken) {
      if (!overlaps(block, other)) continue;
      uint64_t next = uint64_t{other.first} + other.count;
      next = from + (next - from + kBlock - 1) / kBlock * kBlock;
      if (next > INT32_MAX - uint64_t{kBlock}) throw Error("cannot find 65536 ids that nobody uses");
      block.first = static_cast<uint32_t>(next);
      moved = true;
    }
  }
  return block.first;
}

// Exactly `count` ids of `ranges`, or nullopt when there are not that many.
std::optional<std::vector<IdRange>> take(const std::vector<IdRange>& ranges, uint32_t count) {
  std::vector<IdRange> result;
  for (const IdRange& range : ranges) {
    if (count == 0) break;
    result.push_back({range.first, std::min(range.count, count)});
    count -= result.back().count;
  }
  if (count > 0) return std::nullopt;
  return result;
}

std::string readOptional(const std::string& path) {
  try {
    return readFile(path, kLargestFile);
  } catch (const Error& e) {
    if (e.code() == ENOENT) return {};
    throw;
  }
}

bool isInPath(const char* program) {
  for (const char* dir : {"/usr/bin/", "/bin/", "/usr/local/bin/"})
    if (::access(str(dir, program).c_str(), X_OK) == 0) return true;
  return false;
}

IdMap mapForRoot() {
  std::vector<IdRange> taken;
  for (const char* file : {"/etc/subuid", "/etc/subgid"}) {
    std::string text = readOptional(file);
    for (const Line& line : parseLines(text)) taken.push_back(line.range);
  }
  ::setpwent();
  while (const passwd* entry = ::getpwent()) taken.push_back({entry->pw_uid, 1});
  ::endpwent();
  // Above what systemd and container tools use (systemd's UIDS-GIDS document), below 2^31.
  uint32_t base = freeBlock(0x78000000, taken);
  IdMap map;
  map.direct = true;
  map.uid = map.gid = base;
  map.uids = map.gids = {{base + 1, kSubIds}};
  return map;
}

IdMap mapForUser(uid_t uid) {
  const passwd* entry = ::getpwuid(uid);
  if (entry == nullptr)
    throw Error(str("cannot build an image: uid ", uid, " has no account, hence no sub-ids"))
        .hint("Run as a user with an account.");
  std::string user = entry->pw_name;
  std::string subuid = readOptional("/etc/subuid"), subgid = readOptional("/etc/subgid");
  auto uids = take(parseSubIds(subuid, user, uid), kSubIds);
  auto gids = take(parseSubIds(subgid, user, uid), kSubIds);
  if (!uids || !gids)
    throw Error(str("cannot build an image: ", user.c_str(), " has fewer than ", kSubIds, " sub-ids in ",
                    !uids && !gids ? "/etc/subuid and /etc/subgid"
                    : !uids        ? "/etc/subuid"
                                   : "/etc/subgid"))
        .hint(
            str("Give him some, once, then try again:\n  ", addSubIdsCommand(user, subuid, subgid).c_str()));
  if (!isInPath("newuidmap") || !isInPath("newgidmap"))
    throw Error("cannot build an image: newuidmap and newgidmap are not installed")
        .hint("Install them, then try again:\n  sudo apt-get install uidmap");
  return {false, uid, ::getegid(), *uids, *gids};
}

void runMapper(const char* program, pid_t pid, uint32_t self, const std::vector<IdRange>& ranges) {
  std::vector<std::string> argv = {program, std::to_string(pid), "0", std::to_string(self), "1"};
  uint32_t inside = 1;
  for (const IdRange& range : ranges) {
    for (uint32_t value : {inside, range.first, range.count}) argv.push_back(std::to_string(value));
    inside += range.count;
  }
  capture(std::move(argv));
}

void writeMap(pid_t pid, const char* file, uint32_t first) {
  std::string path = str("/proc/", pid, "/", file);
  writeAll(openFile(path, O_WRONLY), str("0 ", first, " ", kSubIds + 1, "\n"), path);
}

}  // namespace

std::vector<IdRange> parseSubIds(std::string_view text, std::string_view user, uid_t uid) {
  std::vector<IdRange> ranges;
  for (const Line& line : parseLines(text))
    if (line.who == user || line.who == std::to_string(uid)) ranges.push_back(line.range);
  return ranges;
}

IdMap subIdMap() {
  uid_t uid = ::geteuid();
  return uid == 0 ? mapForRoot() : mapForUser(uid);
}

void applyIdMap(const IdMap& map, pid_t pid) {
  if (map.direct) {
    writeMap(pid, "uid_map", map.uid);
    writeMap(pid, "gid_map", map.gid);
    return;
  }
  runMapper("newuidmap", pid, map.uid, map.uids);
  runMapper("newgidmap", pid, map.gid, map.gids);
}

std::string addSubIdsCommand(std::string_view user, std::string_view subuid, std::string_view subgid) {
  std::vector<IdRange> taken;
  for (std::string_view text : {subuid, subgid})
    for (const Line& line : parseLines(text)) taken.push_back(line.range);
  uint32_t first = freeBlock(kFirstSubId, taken);
  std::string range = str(first, "-", uint64_t{first} + kBlock - 1);
  return str("sudo usermod --add-subuids ", range.c_str(), " --add-subgids ", range.c_str(), " ",
             shellQuote(user).value_or("USER").c_str());
}

}  // namespace cove
