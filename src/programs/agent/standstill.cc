#include "agent/standstill.h"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <linux/random.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>
#include <vector>

#include "agent/etc.h"
#include "agent/init.h"
#include "base/error.h"
#include "base/text.h"

namespace cove::agent {

namespace {
constexpr const char* kGroups = "/sys/fs/cgroup";
constexpr int kLooks = 2000;
constexpr timespec kPause{0, 5'000'000};
constexpr size_t kRandomSeed = 512;  // bytes, as systemd-random-seed(8) has it where the pool is that large

std::vector<std::string> topGroups() {
  std::vector<std::string> groups;
  for (const auto& entry : std::filesystem::directory_iterator(kGroups))
    if (entry.is_directory()) groups.push_back(entry.path());
  return groups;
}

void setFrozen(const std::string& group, bool frozen) {
  writeAll(openFile(group + "/cgroup.freeze", O_WRONLY), frozen ? "1" : "0", group);
}

bool isFrozen(const std::string& group) {
  return readFile(group + "/cgroup.events", 4096).find("frozen 1") != std::string::npos;
}

void awaitFrozen(const std::string& group) {
  for (int look = 0; !isFrozen(group); ++look) {
    if (look == kLooks) throw Error("cannot save the machine: " + group + " does not stand still");
    ::nanosleep(&kPause, nullptr);
  }
}

std::string randomBytes(size_t size) {
  std::string bytes(size, '\0');
  for (size_t at = 0; at < size;) {
    ssize_t got = ::getrandom(bytes.data() + at, size - at, 0);
    if (got < 0 && errno != EINTR) throw sysError("draw", "random bytes");
    if (got > 0) at += static_cast<size_t>(got);
  }
  return bytes;
}
}  // namespace

void freezeGuest() {
  if (::access("/sys/fs/cgroup/cgroup.procs", W_OK) < 0) throw sysError("freeze", "the guest's processes");
  // systemd puts whom it finds at its start into its own cgroup.
  writeAll(openFile(str(kGroups, "/cgroup.procs"), O_WRONLY), str(::getpid()), "the root cgroup");
  ::sync();
  std::vector<std::string> groups = topGroups();
  try {
    for (const std::string& group : groups) setFrozen(group, true);
    for (const std::string& group : groups) awaitFrozen(group);
  } catch (...) {
    thawGuest();
    throw;
  }
  ::sync();
}

void thawGuest() {
  for (const std::string& group : topGroups()) setFrozen(group, false);
}

void addEntropy(std::span<const std::byte> seed) {
  if (seed.size() < kSeedBytes) throw Error("a machine that starts from a saved one needs a seed");
  Fd random = openFile("/dev/urandom", O_RDWR);
  // rand_pool_info of linux/random.h: how many bits to believe in, how many bytes, and these.
  const int header[] = {static_cast<int>(seed.size() * 8), static_cast<int>(seed.size())};
  std::vector<char> pool(sizeof header + seed.size());
  std::memcpy(pool.data(), header, sizeof header);
  std::memcpy(pool.data() + sizeof header, seed.data(), seed.size());
  check(::ioctl(random.get(), RNDADDENTROPY, pool.data()), "seed", "the kernel's random numbers");
  check(::ioctl(random.get(), RNDRESEEDCRNG), "seed", "the kernel's random numbers");
}

void renewIdentity() {
  if (std::optional<Fd> etc = findDirectory("etc"); etc && readFileAt(*etc, "machine-id")) renewMachineId();
  if (std::optional<Fd> systemd = findDirectory("var/lib/systemd"))
    if (readFileAt(*systemd, "random-seed"))
      replaceFile(*systemd, "random-seed", randomBytes(kRandomSeed), 0600);
}

}  // namespace cove::agent
