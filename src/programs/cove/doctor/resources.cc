#include <optional>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/text.h"
#include "cove/doctor/check.h"

namespace cove::cli {

namespace {

constexpr uint64_t kGiB = 1ULL << 30;
constexpr uint64_t kRoomForImage = 3 * kGiB / 2;  // while one is built; half of it stays
constexpr uint64_t kComfortableRoom = 5 * kGiB;
constexpr uint64_t kFewInodes = 1000;
constexpr uint64_t kSmallMemory = kGiB;

// Of the state directory, or the nearest directory above it that exists.
std::optional<struct statvfs> fileSystem() {
  std::string path = stateDirPath();
  while (!path.empty()) {
    struct statvfs info = {};
    if (statvfs(path.c_str(), &info) == 0) return info;
    path.resize(path.find_last_of('/') == 0 ? 1 : path.find_last_of('/'));
  }
  return std::nullopt;
}

std::vector<Check> diskSpace() {
  auto info = fileSystem();
  if (!info) return {{"disk space", Health::kBroken, "the state directory's file system cannot be examined"}};
  std::string move =
      "make room in " + shortPath(stateDirPath()) + ", or set COVE_HOME to another file system";
  uint64_t room = uint64_t{info->f_bavail} * info->f_frsize;
  Check space = {"disk space", Health::kGood, formatSize(room) + " free"};
  if (room < kComfortableRoom)
    space = {space.item, Health::kWarning, space.found + ", which is little", move};
  if (room < kRoomForImage) space.health = Health::kBroken;
  Check inodes = {"inodes", Health::kGood, str(uint64_t{info->f_favail}, " free")};
  if (info->f_files == 0) inodes.found = "not limited by the file system";  // btrfs
  if (info->f_files > 0 && info->f_favail < kFewInodes) {
    inodes = {inodes.item, Health::kBroken, inodes.found, move};
  }
  return {space, inodes};
}

Check memory() {
  struct sysinfo info = {};
  sysinfo(&info);
  std::string total = formatSize(uint64_t{info.totalram} * info.mem_unit);
  // MemAvailable counts what the kernel would give up; sysinfo(2) does not have it.
  uint64_t available = uint64_t{info.freeram} * info.mem_unit;
  FILE* file = fopen("/proc/meminfo", "re");
  char line[128];
  unsigned long long kib = 0;
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "MemAvailable: %llu", &kib) == 1) available = kib * 1024;
  }
  if (file) fclose(file);
  Check check = {"memory", Health::kGood, formatSize(available) + " available of " + total};
  if (available < kSmallMemory) {
    check.health = Health::kWarning;
    check.fix = "end other programs, or give instances less with --memory";
  }
  return check;
}

std::string limitText(rlim_t limit) { return limit == RLIM_INFINITY ? "unlimited" : str(uint64_t{limit}); }

Check limit(const std::string& name, int resource, rlim_t least, const std::string& option) {
  struct rlimit now = {};
  getrlimit(static_cast<__rlimit_resource>(resource), &now);
  Check check = {name, Health::kGood, limitText(now.rlim_cur)};
  if (now.rlim_cur >= least) return check;
  check.health = Health::kWarning;
  check.fix = str("ulimit ", option, " ", uint64_t{least});
  return check;
}

}  // namespace

std::vector<Check> checkResources() {
  std::vector<Check> checks = diskSpace();
  checks.push_back(memory());
  checks.push_back(limit("open files", RLIMIT_NOFILE, 1024, "-n"));
  checks.push_back(limit("processes", RLIMIT_NPROC, 256, "-u"));
  checks.push_back(limit("locked memory", RLIMIT_MEMLOCK, 0, "-l"));
  return checks;
}

}  // namespace cove::cli
