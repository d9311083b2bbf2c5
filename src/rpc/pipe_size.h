// Room in pipes: the kernel's 64 KiB are one chunk of a stream, so that writer and reader take turns.
#pragma once
#include <fcntl.h>

#include "base/fd.h"

namespace cove {

// For a pipe that was found full: room for four chunks, as far as the kernel's limits for the user allow it.
// Anything else than a pipe stays as it is.
inline void enlargePipe(const Fd& fd) {
  constexpr int kRoom = 256 * 1024;
  int now = ::fcntl(fd.get(), F_GETPIPE_SZ);
  if (now > 0 && now < kRoom) ::fcntl(fd.get(), F_SETPIPE_SZ, kRoom);
}

}  // namespace cove
