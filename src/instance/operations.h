// The journalled changes of instances, each rebuilt from its record alone when a daemon was killed.
#pragma once
#include <functional>
#include <kj/async-unix.h>

#include "base/paths.h"
#include "instance/records.h"
#include "journal/journal.h"

namespace cove {

class InstanceOperations {
 public:
  InstanceOperations(kj::UnixEventPort& port, const StateDir& state, Records& records)
      : port_(port), state_(state), records_(records) {}

  // Directory, cove.yaml, key pair and disk, and what `fill` adds to its directory, under another name until
  // they are complete; then the row. Undone when it cannot be finished; a directory of that name that another
  // made is left alone.
  using Fill = std::function<kj::Promise<void>(Fd dir)>;
  Operation create(const InstanceRecord& record, Fill fill = nullptr);
  // The same, for one that begins from a saved machine: it has no key pair, and an undone creation or an
  // unfinished removal is all that it leaves to a power failure. `writeDisk` does not wait.
  using WriteDisk = std::function<void(const Fd& disk)>;
  Operation createFromSaved(const InstanceRecord& record, WriteDisk writeDisk);
  // The row first, so that the name is free and nothing can use it; then the files. Finished in any case.
  Operation remove(const InstanceRecord& record);
  // It becomes what is in its directory `stage` (instance_state.h), saved under record.accelerator; with its
  // memory where it is `suspended`. Finished in any case.
  Operation apply(const InstanceRecord& record, const std::string& stage, bool suspended);
  // Of an earlier daemon.
  Operation rebuild(const Journal::Interrupted& interrupted);

  Fd openDir(const std::string& name) const;

 private:
  Operation creation(const InstanceRecord& record);
  void makeNursery(const InstanceRecord& record);
  kj::Promise<void> makeDir(const InstanceRecord& record);
  void fillDir(const InstanceRecord& record, const WriteDisk& writeDisk);
  kj::Promise<void> flushDir(const std::string& name);
  void placeDir(const InstanceRecord& record);
  void withdrawDir(const InstanceRecord& record);

  kj::UnixEventPort& port_;
  const StateDir& state_;
  Records& records_;
};

}  // namespace cove
