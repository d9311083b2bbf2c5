#include "instance/saved_machines.h"

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "hypervisor/acceleration.h"
#include "image/directory.h"
#include "instance/launch.h"
#include "instance/supervisor_link.h"
#include "instance/tools.h"

namespace cove {

namespace {
constexpr const char* kStagePrefix = ".stage-";
constexpr const char* kTrialName = "trial";
constexpr size_t kLoaded = 2;  // kinds in memory
constexpr auto kTrialLimit = 60 * kj::SECONDS;
constexpr size_t kDigestText = 64;

Fd openStore(const StateDir& state) {
  if (::mkdirat(state.fd.get(), kSavedName, 0700) != 0 && errno != EEXIST)
    throw sysError("make the directory", str(state.path, "/", kSavedName));
  return openBeneath(state.fd, kSavedName, O_RDONLY | O_DIRECTORY);
}

std::string stageName() {
  unsigned char bytes[8];
  char hex[2 * sizeof bytes + 1];
  ::randombytes_buf(bytes, sizeof bytes);
  return std::string(kStagePrefix) + ::sodium_bin2hex(hex, sizeof hex, bytes, sizeof bytes);
}

uint64_t sizeOf(const Fd& dir) {
  uint64_t blocks = 0;
  for (const std::string& name : image::entriesOf(dir)) {
    struct stat st;
    if (::fstatat(dir.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0)
      blocks += static_cast<uint64_t>(st.st_blocks);
  }
  return blocks * 512;
}

timespec usedAt(const Fd& dir) { return statOf(dir, "a saved machine").st_mtim; }

// The order in which they go when there is too little room.
void touch(const Fd& dir) { ::futimens(dir.get(), nullptr); }

// What is left in its directory is what is sealed.
void removeTraces(const Fd& dir) {
  for (const std::string& name : image::entriesOf(dir))
    if (name != "memory" && name != "devices" && name != "disk") image::removeTree(dir, name);
}
}  // namespace

SavedMachines::SavedMachines(kj::AsyncIoContext& io, const StateDir& state, const Images& images,
                             uint64_t limit, const Log& log)
    : io_(io), state_(state), images_(images), limit_(limit), log_(log), store_(openStore(state)) {
  // Of a daemon that was killed; whoever worked there died with it.
  for (const std::string& name : image::entriesOf(store_))
    if (name.starts_with(kStagePrefix)) image::removeTree(store_, name);
}

Fd SavedMachines::open(const std::string& name) const {
  return openBeneath(store_, name, O_RDONLY | O_DIRECTORY);
}

std::vector<std::string> SavedMachines::names() const {
  std::vector<std::string> names = image::entriesOf(store_);
  std::erase_if(names, [](const std::string& name) { return name.size() != kDigestText; });
  return names;
}

std::optional<SavedKey> SavedMachines::keyOf(const InstanceRecord& record) const {
  auto image = images_.get(record.image);
  auto acceleration = knownAcceleration(requireQemu(), state_.fd);
  if (!image || !acceleration) return std::nullopt;
  InstanceRecord like = record;
  like.accelerator = acceleration->name;
  return savedKey(like, *image);
}

co::Co<SavedMachines::Found> SavedMachines::find(InstanceRecord record) {
  if (limit_ == 0) co_return Found{};
  auto key = keyOf(record);
  if (!key) co_return Found{};
  auto loaded = loaded_.find(key->digest);
  if (loaded == loaded_.end()) {
    struct stat st;
    if (::fstatat(store_.get(), key->digest.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) co_return Found{};
    std::string trouble;
    try {
      auto machine = co_await load(key->digest, record, *key);
      remember(key->digest, kj::mv(machine));
    } catch (...) {
      trouble = currentError().message();
    }
    if (!trouble.empty()) {
      remove(key->digest);
      co_return Found{nullptr, str("the saved machine cannot be used: ", trouble)};
    }
    loaded = loaded_.find(key->digest);
  }
  touch(open(key->digest));
  co_return Found{std::make_shared<SavedMachine>(loaded->second->start()), ""};
}

void SavedMachines::distrust(const InstanceRecord& record) {
  if (auto key = keyOf(record)) remove(key->digest);
}

co::Co<std::shared_ptr<LoadedMachine>> SavedMachines::load(std::string directory, InstanceRecord record,
                                                           SavedKey key) {
  auto loaded = std::make_shared<LoadedMachine>(open(directory), record.spec.memoryMiB);
  std::function<void()> fill = [&] { loaded->fill(store_, key.madeOf); };
  co_await runForked(io_.unixEventPort, "read a saved machine", fill);
  loaded->freeze();
  co_return loaded;
}

void SavedMachines::remember(const std::string& digest, std::shared_ptr<LoadedMachine> loaded) {
  while (loaded_.size() >= kLoaded) {
    auto oldest = std::min_element(loaded_.begin(), loaded_.end(), [this](const auto& a, const auto& b) {
      timespec x = usedAt(open(a.first)), y = usedAt(open(b.first));
      return std::pair(x.tv_sec, x.tv_nsec) < std::pair(y.tv_sec, y.tv_nsec);
    });
    loaded_.erase(oldest);
  }
  loaded_[digest] = std::move(loaded);
}

co::Co<void> SavedMachines::make(InstanceRecord record) {
  if (limit_ == 0) co_return;
  auto key = keyOf(record);
  struct stat st;
  if (!key || failed_.contains(key->digest) || making_.contains(key->digest) ||
      ::fstatat(store_.get(), key->digest.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0)
    co_return;
  making_.insert(key->digest);
  KJ_DEFER(making_.erase(key->digest));
  std::string failure;
  try {
    co_await makeNow(record, *key);
  } catch (...) {
    failure = currentError().message();
  }
  if (failure.empty()) co_return;
  log_.warning(str("no saved machine of ", record.spec.os, ": ", failure));
  failed_[key->digest] = failure;
}

co::Co<void> SavedMachines::makeNow(InstanceRecord record, SavedKey key) {
  std::string stage = stageName();
  check(::mkdirat(store_.get(), stage.c_str(), 0700), "make the directory",
        str(state_.path, "/_saved/", stage));
  KJ_DEFER(clear(stage));
  co_await build(record, key, stage);
  auto loaded = co_await load(stage, record, key);
  co_await tryOut(record, stage, loaded);
  image::removeTree(open(stage), kTrialName);
  check(::renameat(store_.get(), stage.c_str(), store_.get(), key.digest.c_str()), "keep", "a saved machine");
  remember(key.digest, kj::mv(loaded));
  keepLimit(key.digest);
  log_.info(str("saved a machine of ", record.spec.os, " as ", key.digest.substr(0, 12)));
}

co::Co<void> SavedMachines::build(const InstanceRecord& record, const SavedKey& key,
                                  const std::string& stage) {
  auto image = images_.get(record.image);
  if (!image) throw Error("its image is gone");
  InstanceRecord like = record;
  like.spec.name = "saved";
  auto acceleration = knownAcceleration(requireQemu(), state_.fd);
  like.accelerator = acceleration ? acceleration->name : "tcg";
  Fd dir = open(stage);
  co_await makeDisk(io_.unixEventPort, dir.duplicate(), record.spec.diskBytes);
  co_await saveMachine(io_.unixEventPort, like, *image, dir.duplicate(), images_.openDir(record.image));
  removeTraces(dir);
  std::function<void()> seal = [&] { sealSaved(store_, dir, key.madeOf); };
  co_await runForked(io_.unixEventPort, "seal a saved machine", seal);
}

// Whether this QEMU can do it, and this machine goes on: one is started, and its end waited for.
co::Co<void> SavedMachines::tryOut(InstanceRecord record, std::string stage,
                                   std::shared_ptr<LoadedMachine> loaded) {
  auto image = images_.get(record.image);
  if (!image) throw Error("its image is gone");
  Fd parent = open(stage);
  check(::mkdirat(parent.get(), kTrialName, 0700), "make the directory", kTrialName);
  Fd dir = openBeneath(parent, kTrialName, O_RDONLY | O_DIRECTORY);
  co_await makeDisk(io_.unixEventPort, dir.duplicate(), record.spec.diskBytes);
  record.spec.name = "trial";
  record.spec.user = {};
  record.spec.ephemeral = true;
  auto from = std::make_shared<SavedMachine>(loaded->start());
  Launched launched = co_await launchInstance(io_.unixEventPort, state_.fd, record, *image, dir.duplicate(),
                                              images_.openDir(record.image), kj::mv(from));
  auto link = SupervisorLink::open(io_, dir.duplicate(), launched.supervisor);
  if (!link) throw Error("the trial's supervisor ended at once");
  KJ_DEFER(link->kill());
  auto late = io_.provider->getTimer().afterDelay(kTrialLimit).then([] { return false; });
  bool up = co_await link->cameUp().exclusiveJoin(kj::mv(late));
  if (up) {
    auto stop = link->supervisor().stopRequest();
    stop.setForce(true);
    co_await stop.send().ignoreResult().catch_([](kj::Exception&&) {});
  }
  link->kill();
  std::function<void(const VmState&)> unheard = [](const VmState&) {};
  VmState last = co_await link->watch(unheard);
  if (!up) throw Error(str("a machine did not begin from it: ", last.reason));
}

// What is still there, as somebody is just ending in it, the next daemon removes.
void SavedMachines::clear(const std::string& stage) noexcept {
  try {
    image::removeTree(store_, stage);
  } catch (...) {
    return;
  }
}

uint64_t SavedMachines::remove(const std::string& name) {
  loaded_.erase(name);
  try {
    uint64_t size = sizeOf(open(name));
    image::removeTree(store_, name);
    return size;
  } catch (const Error& e) {
    if (e.code() != ENOENT) log_.warning(str("cannot remove a saved machine: ", e.message()));
    return 0;
  }
}

void SavedMachines::keepLimit(const std::string& newest) {
  std::vector<std::pair<std::pair<time_t, long>, std::string>> byUse;
  uint64_t total = 0;
  for (const std::string& name : names()) {
    Fd dir = open(name);
    total += sizeOf(dir);
    timespec used = usedAt(dir);
    if (name != newest) byUse.push_back({{used.tv_sec, used.tv_nsec}, name});
  }
  std::sort(byUse.begin(), byUse.end());
  for (const auto& [used, name] : byUse)
    if (total > limit_) total -= remove(name);
}

SavedMachines::Usage SavedMachines::usageOf(const std::string& image) const {
  Usage usage;
  for (const std::string& name : names()) {
    try {
      Fd dir = open(name);
      if (nlohmann::json::parse(readMadeOf(store_, dir)).at("image") != image) continue;
      usage.disk += sizeOf(dir);
      if (auto found = loaded_.find(name); found != loaded_.end())
        usage.memory += found->second->memoryBytes();
    } catch (const std::exception&) {
      continue;  // whatever it is: removed by the next who would begin from it, or by prune
    }
  }
  return usage;
}

void SavedMachines::removeOf(const std::string& image) {
  for (const std::string& name : names()) {
    try {
      if (nlohmann::json::parse(readMadeOf(store_, open(name))).at("image") != image) continue;
    } catch (const std::exception&) {
      continue;
    }
    remove(name);
  }
}

uint64_t SavedMachines::prune(bool all) {
  failed_.clear();
  uint64_t freed = 0;
  for (const std::string& name : names()) {
    bool stale = true;
    try {
      auto madeOf = nlohmann::json::parse(readMadeOf(store_, open(name)));
      InstanceRecord record;
      record.image = madeOf.at("image");
      record.spec.diskBytes = madeOf.at("disk");
      record.spec.memoryMiB = madeOf.at("memoryMiB");
      record.spec.cpus = madeOf.at("cpus");
      auto key = keyOf(record);
      stale = !key || key->digest != name;
    } catch (const std::exception&) {
      stale = true;  // damaged, or not ours
    }
    if (all || stale) freed += remove(name);
  }
  return freed;
}

}  // namespace cove
