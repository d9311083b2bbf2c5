// Room in pipes: the kernel's 64 KiB are less than one chunk of a stream.
#pragma once
#include <fcntl.h>

#include "base/fd.h"
#include "rpc/limits.h"

namespace cove {

inline constexpr size_t kDefaultPipe = 64 * 1024;  // pipe(7)

// For a pipe that was found full: room for a chunk, as far as the kernel's limits for the user allow it.
// Anything else than a pipe stays as it is.
inline void enlargePipe(const Fd& fd) {
  constexpr int kRoom = kStreamChunk;
  int now = ::fcntl(fd.get(), F_GETPIPE_SZ);
  if (now > 0 && now < kRoom) ::fcntl(fd.get(), F_SETPIPE_SZ, kRoom);
}

}  // namespace cove
