// A Target's single files: stat, list, read, write, remove.
#pragma once
#include <kj/async-unix.h>

#include "target/calls.h"

namespace cove {

void statFile(StatCall context);
void listDirectory(ListCall context);
kj::Promise<void> readFileInto(kj::UnixEventPort& port, ReadCall context);
void writeFileFrom(WriteCall context);
// Follows no symlink below `path`. Refuses "/".
void removeFile(RemoveCall context);

}  // namespace cove
