// The half of Supervisor that saves its machine: for others to begin from, suspended, or copied.
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "machine/disk_layers.h"
#include "machine/in_thread.h"
#include "machine/saved_memory.h"
#include "machine/supervisor.h"

namespace cove {

co::Co<void> Supervisor::save() {
  std::string failure;
  try {
    co_await saveInOrder();
  } catch (...) {
    failure = currentError().message();
  }
  if (!failure.empty()) fail("it could not be saved: " + failure);
}

co::Co<void> Supervisor::saveInOrder() {
  // Nobody waits for it; what a boot still does behind default.target, every machine that begins here would
  // do.
  co_await timer_.afterDelay(limits_.settle);
  co_await agent_->standStill();
  co_await machine_->pause();
  auto create = [this](const char* name) {
    return openBeneath(setup_.instanceDir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  };
  co_await machine_->save(create(kSavedDevices));
  Fd file = create(kSavedMemory);
  writeMemory(memory_, [&](std::string_view bytes) { writeAll(file, bytes, kSavedMemory); });
  setPhase(State::STOPPING);
  co_await machine_->quit();
}

void Supervisor::requireSavable() const {
  if (phase_ != State::READY || guestStops_)
    throw Error("the machine is not ready").hint("Wait until it is:\n  cove list");
  if (!pause_.empty()) throw Error(pause_);
  if (!memory_) throw Error("the machine began from a saved one, and shares its memory with others");
  if (saving_) throw Error("its state is being saved already");
}

kj::Promise<void> Supervisor::suspend(StateKey key) { return suspendNow(key); }

co::Co<void> Supervisor::suspendNow(StateKey key) {
  co_await merged_.addBranch();
  requireSavable();
  saving_ = suspending_ = true;
  KJ_DEFER(saving_ = false);
  showState();
  std::string failure;
  try {
    co_await suspendInOrder(key);
  } catch (...) {
    failure = currentError().message();
  }
  if (!failure.empty()) {
    forgetState(setup_.instanceDir);  // the machine goes on, so that none may be found
    co_await goOn();
    suspending_ = false;
    showState();
    throw Error(failure);
  }
  suspended_ = true;
  log_.info("the machine is suspended");
  agent_->expectEnd("the machine was suspended");
  co_await stopMachine(true, 0 * kj::SECONDS);
}

co::Co<void> Supervisor::suspendInOrder(StateKey key) {
  ::unlinkat(setup_.instanceDir.get(), kNextStateName, 0);  // of one that was killed
  co_await agent_->standStill();
  co_await machine_->pause();
  co_await saveState(key, kNextStateName);
  // What the memory needs of the disk is a layer now. Should the rest fail, or not come: an empty disk above
  // it changes nothing.
  const Fd& dir = setup_.instanceDir;
  freezeDisk(dir, kMostLayers + 1);
  check(::renameat(dir.get(), kNextStateName, dir.get(), kSuspendedName), "keep", "the machine's state");
  check(::fsync(dir.get()), "flush", "the machine's state");
}

kj::Promise<void> Supervisor::snapshot(StateKey key, std::string directory) {
  return snapshotNow(key, std::move(directory));
}

co::Co<void> Supervisor::snapshotNow(StateKey key, std::string directory) {
  co_await merged_.addBranch();
  requireSavable();
  saving_ = true;
  KJ_DEFER(saving_ = false);
  std::string failure;
  try {
    co_await snapshotInOrder(key, std::move(directory));
  } catch (...) {
    failure = currentError().message();
  }
  co_await goOn();
  if (!failure.empty()) throw Error(failure);
}

co::Co<void> Supervisor::snapshotInOrder(StateKey key, std::string directory) {
  const Fd& dir = setup_.instanceDir;
  Fd stage = openBeneath(dir, directory, O_RDONLY | O_DIRECTORY);
  co_await agent_->standStill();
  co_await machine_->pause();
  // Killed anywhere between here and goOn() the disk is what it was: an empty one above the other changes
  // nothing.
  freezeDisk(dir);
  co_await machine_->continueOn(openBeneath(dir, kDiskName, O_RDWR));
  linkLayers(dir, stage);
  co_await saveState(key, str(directory, "/", kSuspendedName));
}

co::Co<void> Supervisor::saveState(StateKey key, std::string path) {
  Fd devices = makeMemfd("devices");
  co_await machine_->save(devices.duplicate());
  Fd file = openBeneath(setup_.instanceDir, path, O_WRONLY | O_CREAT | O_EXCL, 0400);
  std::function<void()> write = [&] {
    writeState(file, key, setup_.config.getKind().cStr(), devices, memory_);
    check(::fsync(file.get()), "flush", "the machine's state");
  };
  co_await inThread(write);
  if (!pause_.empty() || restarting_) throw Error("the machine did not stand still");
}

// Wherever saving it ended.
co::Co<void> Supervisor::goOn() {
  try {
    co_await machine_->resume();
    co_await agent_->goOn();
  } catch (...) {
    log_.warning("going on: " + currentError().message());
  }
}

}  // namespace cove
