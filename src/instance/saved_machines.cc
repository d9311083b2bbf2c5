#include "instance/saved_machines.h"

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/text.h"
#include "base/uuid.h"
#include "hypervisor/acceleration.h"
#include "instance/tools.h"
#include "machine/disk_layers.h"
#include "machine/saved_memory.h"

namespace cove {

namespace {
constexpr const char* kStagePrefix = ".stage-";
constexpr const char* kTrialName = "trial";
constexpr size_t kLoaded = 2;  // kinds in memory
constexpr auto kMakeLimit = 15 * kj::MINUTES;
constexpr size_t kDigestText = 64;

Fd openStore(const StateDir& state) {
  if (::mkdirat(state.fd.get(), kSavedName, 0700) != 0 && errno != EEXIST)
    throw sysError("make the directory", str(state.path, "/", kSavedName));
  return openBeneath(state.fd, kSavedName, O_RDONLY | O_DIRECTORY);
}

// What is left in its directory is what is sealed.
void removeTraces(const Fd& dir) {
  for (const std::string& name : entriesOf(dir))
    if (!std::ranges::count(kSavedFiles, name)) removeTree(dir, name);
}
}  // namespace

SavedMachines::SavedMachines(kj::AsyncIoContext& io, const StateDir& state, Images& images, uint64_t limit,
                             const Log& log)
    : io_(io), state_(state), images_(images), limit_(limit), log_(log), store_(openStore(state)) {
  // Of a daemon that was killed. A machine that still runs there lost its lease with it, and ends.
  for (const std::string& name : entriesOf(store_))
    if (name.starts_with(kStagePrefix)) clear(name);
  keepLimit();
}

Fd SavedMachines::open(const std::string& name) const {
  return openBeneath(store_, name, O_RDONLY | O_DIRECTORY);
}

// The order in which they go when there is too little room.
void SavedMachines::touch(const std::string& name) const noexcept {
  ::utimensat(store_.get(), name.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}

std::vector<std::string> SavedMachines::names() const {
  std::vector<std::string> names = entriesOf(store_);
  std::erase_if(names, [](const std::string& name) { return name.size() != kDigestText; });
  return names;
}

std::optional<SavedKey> SavedMachines::keyOf(const InstanceRecord& record) const {
  if (limit_ == 0) return std::nullopt;
  auto image = images_.get(record.image);
  auto acceleration = knownAcceleration(requireQemu(), state_.fd);
  if (!image || !acceleration) return std::nullopt;
  InstanceRecord like = record;
  like.accelerator = acceleration->name;
  return savedKey(like, *image);
}

std::string SavedMachines::digestOf(const InstanceRecord& record) const {
  auto key = keyOf(record);
  return key ? key->digest : "";
}

co::Co<SavedMachines::Found> SavedMachines::find(InstanceRecord record) {
  auto key = keyOf(record);
  Found found;
  if (!key) co_return found;
  std::string digest = key->digest;
  if (!isThere(store_, digest)) loaded_.erase(digest);
  if (isThere(store_, digest) && !loaded_.contains(digest)) {
    std::string trouble;
    try {
      auto machine = co_await load(digest, record, *key);
      if (isThere(store_, digest)) remember(digest, kj::mv(machine));
    } catch (...) {
      trouble = currentError().message();
    }
    if (!trouble.empty()) {
      remove(digest);
      found.trouble = "the saved machine cannot be used: " + trouble;
      co_return found;
    }
  }
  auto loaded = loaded_.find(digest);
  if (loaded == loaded_.end()) co_return found;
  loaded->second.use = ++uses_;
  touch(digest);
  found.machine = loaded->second.machine;
  found.digest = digest;
  co_return found;
}

void SavedMachines::distrust(const Found& found) {
  auto loaded = loaded_.find(found.digest);
  if (loaded != loaded_.end() && loaded->second.machine == found.machine) remove(found.digest);
}

co::Co<std::shared_ptr<LoadedMachine>> SavedMachines::load(std::string directory, InstanceRecord record,
                                                           SavedKey key) {
  auto loaded = std::make_shared<LoadedMachine>(open(directory), record.spec.memoryMiB);
  std::function<void()> fill = [this, loaded, madeOf = key.madeOf] { loaded->fill(store_, madeOf); };
  co_await runForked(io_.unixEventPort, "read a saved machine", fill);
  loaded->freeze();
  co_return loaded;
}

void SavedMachines::remember(const std::string& digest, std::shared_ptr<LoadedMachine> loaded) {
  auto older = [](const auto& a, const auto& b) { return a.second.use < b.second.use; };
  while (loaded_.size() >= kLoaded) loaded_.erase(std::min_element(loaded_.begin(), loaded_.end(), older));
  loaded_[digest] = {std::move(loaded), ++uses_};
}

co::Co<void> SavedMachines::make(InstanceRecord record) {
  if (making_) co_return;
  auto key = keyOf(record);
  if (!key || failed_.contains(key->digest) || isThere(store_, key->digest)) co_return;
  making_ = true;
  KJ_DEFER(making_ = false);
  std::string stage = kStagePrefix + newUuid();
  std::string failure;
  try {
    Images::Pin pin(images_, record.image);
    auto late = io_.provider->getTimer().afterDelay(kMakeLimit).then([] {
      kj::throwFatalException(toKj(Error("it took too long")));
    });
    co_await kj::Promise<void>(makeNow(record, *key, stage)).exclusiveJoin(kj::mv(late));
  } catch (...) {
    failure = currentError().message();
  }
  if (failure.empty()) co_return;
  clear(stage);
  log_.warning(str("no saved machine of ", record.spec.os, ": ", failure));
  failed_[key->digest] = failure;
}

co::Co<void> SavedMachines::makeNow(InstanceRecord record, SavedKey key, std::string stage) {
  check(::mkdirat(store_.get(), stage.c_str(), 0700), "make the directory",
        str(state_.path, "/_saved/", stage));
  Fd dir = open(stage);
  record.spec.user = {};
  record.spec.ephemeral = true;
  record.spec.name = "saved";
  record.id.clear();
  for (const char* name : {kDiskName, kSavedOverlay})
    co_await makeDisk(io_.unixEventPort, dir.duplicate(), name, record.spec.diskBytes);
  Beginning saving;
  saving.save = true;
  co_await runMachine(record, dir.duplicate(), saving);
  removeTraces(dir);
  if (sizeOf(dir) > limit_) throw Error("it is larger than all of them may be (COVE_SAVED_LIMIT)");
  std::function<void()> seal = [this, stage, madeOf = key.madeOf] { sealSaved(store_, open(stage), madeOf); };
  co_await runForked(io_.unixEventPort, "seal a saved machine", seal);

  // Whether this QEMU can do it, and this machine goes on: one is started.
  auto loaded = co_await load(stage, record, key);
  check(::mkdirat(dir.get(), kTrialName, 0700), "make the directory", kTrialName);
  Fd trial = openBeneath(dir, kTrialName, O_RDONLY | O_DIRECTORY);
  loaded->writeOverlay(openBeneath(trial, kDiskName, O_WRONLY | O_CREAT | O_EXCL, 0600));
  Beginning resuming;
  resuming.from = std::make_shared<SavedMachine>(loaded->start());
  record.id = newUuid();
  co_await runMachine(record, trial.duplicate(), resuming);
  removeTree(dir, kTrialName);

  check(::renameat(store_.get(), stage.c_str(), store_.get(), key.digest.c_str()), "keep", "a saved machine");
  remember(key.digest, kj::mv(loaded));
  keepLimit();
  log_.info(str("saved a machine of ", record.spec.os, " as ", key.digest.substr(0, 12)));
}

co::Co<void> SavedMachines::runMachine(InstanceRecord record, Fd dir, Beginning beginning) {
  auto image = images_.get(record.image);
  if (!image) throw Error("its image is gone");
  bool saves = beginning.save;
  Launched launched = co_await launchInstance(io_.unixEventPort, state_.fd, record, *image, dir.duplicate(),
                                              images_.openDir(record.image), kj::mv(beginning));
  auto link = SupervisorLink::open(io_, dir.duplicate(), launched.supervisor);
  if (!link) throw Error("its supervisor ended at once");
  KJ_DEFER(link->kill());
  // Whoever ends this promise, or this daemon, ends the machine.
  auto request = link->supervisor().introduceRequest();
  request.setLease(true);
  auto lease = co_await request.send();
  std::function<void(const VmState&)> unheard = [](const VmState&) {};
  bool up = saves;
  if (!saves) {
    up = co_await link->cameUp();
    link->kill();
  }
  VmState last = co_await link->watch(unheard);
  if (!up || (saves && last.state != rpc::VmState::STOPPED))
    throw Error(last.reason.empty() ? std::string("its machine was stopped") : last.reason);
}

// What is still there, as somebody is just ending in it, the next daemon removes.
void SavedMachines::clear(const std::string& stage) noexcept {
  try {
    removeTree(store_, stage);
  } catch (...) {
    return;
  }
}

uint64_t SavedMachines::remove(const std::string& name) {
  loaded_.erase(name);
  try {
    uint64_t size = sizeOf(open(name));
    std::string gone = kStagePrefix + newUuid();
    check(::renameat(store_.get(), name.c_str(), store_.get(), gone.c_str()), "remove", "a saved machine");
    clear(gone);
    return size;
  } catch (const Error& e) {
    if (e.code() != ENOENT) log_.warning(str("cannot remove a saved machine: ", e.message()));
    return 0;
  }
}

void SavedMachines::keepLimit() {
  std::vector<std::pair<std::pair<time_t, long>, std::string>> byUse;
  uint64_t total = 0;
  for (const std::string& name : names()) {
    Fd dir = open(name);
    total += sizeOf(dir);
    timespec used = statOf(dir, name).st_mtim;
    byUse.push_back({{used.tv_sec, used.tv_nsec}, name});
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
        usage.memory += found->second.machine->memoryBytes();
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
  if (all) removeSealKey(store_);
  return freed;
}

}  // namespace cove
