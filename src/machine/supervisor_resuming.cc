// The part of Supervisor that lets a suspended machine go on. Until its agent answers nothing is lost with
// it: what it writes meanwhile is on a disk of its own, which the next attempt throws away.
#include "base/error.h"
#include "base/text.h"
#include "machine/disk_layers.h"
#include "machine/supervisor.h"

namespace cove {

namespace {
kj::Promise<std::string> failureOf(kj::Promise<void> promise) {
  return promise.then([] { return std::string(); }, [](kj::Exception&& e) { return fromKj(e).message(); });
}
}  // namespace

// From here on the disk counts, and the memory is that of the past.
void Supervisor::arrive() {
  if (!resuming_) return;
  forgetState(setup_.instanceDir);
  resuming_ = false;
  // Whoever waits for it has nothing to do with how it ends.
  merged_ = kj::Promise<void>(mergeDisk())
                .catch_([this](kj::Exception&& e) {
                  if (!ended_) log_.warning("merging the disk: " + fromKj(e).message());
                })
                .fork();
}

// The disk, which holds what was written since a moment ago, and the layer that was the disk when it was
// suspended. It stands still for that: then nothing is written to the layer before it has the disk's name.
co::Co<void> Supervisor::mergeDisk() {
  if (!pause_.empty() || restarting_) co_return;
  Fd layer = openOwnLayer(setup_.instanceDir);
  if (!layer) co_return;
  saving_ = true;
  KJ_DEFER(saving_ = false);
  std::string why = co_await failureOf(machine_->pause()), failure;
  try {
    if (why.empty()) why = co_await machine_->mergeDown(std::move(layer));
    if (why.empty()) thawDisk(setup_.instanceDir);
  } catch (...) {
    failure = currentError().message();
  }
  if (!failure.empty() && phase_ != State::STOPPING) fail("its disk could not be merged: " + failure);
  if (!failure.empty() || !pause_.empty()) co_return;
  if (!why.empty()) log_.warning("the disk has a layer more, which could not be merged: " + why);
  co_await machine_->resume();
  co_await agent_->setClock();
}

}  // namespace cove
