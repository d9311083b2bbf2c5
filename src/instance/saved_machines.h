// Machines that were saved when they were ready, for others of their kind to begin where they stood
// (docs/saved-machines.md). Made in the background, once a kind was booted; used by `cove run`.
#pragma once
#include <kj/async-io.h>
#include <map>
#include <memory>
#include <set>

#include "base/log.h"
#include "instance/images.h"
#include "instance/launch.h"
#include "instance/saved_files.h"
#include "instance/saved_key.h"
#include "instance/supervisor_link.h"
#include "rpc/co.h"

namespace cove {

class SavedMachines {
 public:
  // `limit`: bytes of disk that all of them may take; 0: none is made or used.
  SavedMachines(kj::AsyncIoContext& io, const StateDir& state, Images& images, uint64_t limit,
                const Log& log);

  struct Found {
    std::shared_ptr<LoadedMachine> machine;  // null: boot
    std::string trouble;                     // why, where that is worth a line
    std::string digest;
  };
  // What a machine like the record's may begin from. One that is not as we sealed it is removed.
  co::Co<Found> find(InstanceRecord record);
  // That it would begin from, whether it is there or not; empty: none.
  std::string digestOf(const InstanceRecord& record) const;
  // A machine did not begin from it: it is removed, unless it was made anew since.
  void distrust(const Found& found);
  // Makes what the record's machine would have begun from, unless it is there, or could not be made before.
  // One at a time; within a limit of time and of disk.
  co::Co<void> make(InstanceRecord record);
  bool busy() const { return making_; }

  struct Usage {
    uint64_t disk = 0, memory = 0;  // bytes
  };
  Usage usageOf(const std::string& image) const;
  void removeOf(const std::string& image);
  // Removes those that nothing will begin from any more (image, QEMU or agent are others now), or all. Bytes
  // freed.
  uint64_t prune(bool all);

 private:
  struct Loaded {
    std::shared_ptr<LoadedMachine> machine;
    uint64_t use = 0;  // the largest is the last
  };
  std::optional<SavedKey> keyOf(const InstanceRecord& record) const;
  co::Co<void> makeNow(InstanceRecord record, SavedKey key, std::string stage);
  // Runs a machine in `dir` until it is up, or with `save` until it has ended; it has ended when this
  // resolves. An Error where it failed.
  co::Co<void> runMachine(InstanceRecord record, Fd dir, Beginning beginning);
  co::Co<std::shared_ptr<LoadedMachine>> load(std::string directory, InstanceRecord record, SavedKey key);
  void remember(const std::string& digest, std::shared_ptr<LoadedMachine> loaded);
  void touch(const std::string& name) const noexcept;
  uint64_t remove(const std::string& name);
  void clear(const std::string& stage) noexcept;
  void keepLimit();
  std::vector<std::string> names() const;
  Fd open(const std::string& name) const;

  kj::AsyncIoContext& io_;
  const StateDir& state_;
  Images& images_;
  uint64_t limit_;
  const Log& log_;
  Fd store_;
  std::map<std::string, Loaded> loaded_;       // by digest
  std::map<std::string, std::string> failed_;  // digests that cannot be made, and why
  uint64_t uses_ = 0;
  bool making_ = false;
};

}  // namespace cove
