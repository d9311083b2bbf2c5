// The descriptors of all commands; each is defined in the file that it is named after.
#pragma once
#include "cove/command.h"

namespace cove::cli {

extern const Command kRun, kCreate, kStart, kStop, kRestart, kDelete, kList, kInfo;
extern const Command kSuspend, kResume, kClone;
extern const Command kSnapshotCreate, kSnapshotApply, kSnapshotList, kSnapshotDelete;
extern const Command kShell, kCopy, kLogs, kConsole, kPs, kAttach;
extern const Command kImageList, kImagePull, kImageDelete, kPrune;
extern const Command kDaemonStart, kDaemonState, kDaemonStop;
extern const Command kDoctor, kCompletion, kComplete, kVersion, kHelp, kSshProxy;

}  // namespace cove::cli
