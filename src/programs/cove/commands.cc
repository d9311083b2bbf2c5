#include "cove/command.h"
#include "cove/commands/all.h"

namespace cove::cli {

std::span<const Command* const> allCommands() {
  static constexpr const Command* kAll[] = {
      &kRun,
      &kCreate,
      &kStart,
      &kStop,
      &kRestart,
      &kDelete,
      &kList,
      &kInfo,
      &kSuspend,
      &kResume,
      &kClone,
      &kShell,
      &kCopy,
      &kLogs,
      &kConsole,
      &kPs,
      &kAttach,  //
      &kSnapshotCreate,
      &kSnapshotApply,
      &kSnapshotList,
      &kSnapshotDelete,
      &kImageList,
      &kImagePull,
      &kImageDelete,
      &kPrune,
      &kDaemonStart,
      &kDaemonState,
      &kDaemonStop,
      &kDoctor,  //
      &kCompletion,
      &kComplete,
      &kVersion,
      &kHelp,
      &kSshProxy,
  };
  return kAll;
}

}  // namespace cove::cli
