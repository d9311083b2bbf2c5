#include "agent/root.h"

#include <cerrno>
#include <ctime>
#include <endian.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

// From fs/ext4/ext4.h: the kernel's public headers have it only since 6.x.
#ifndef EXT4_IOC_RESIZE_FS
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, __u64)
#endif

namespace cove::agent {

namespace {
using std::chrono::milliseconds;

// devtmpfs makes the node as soon as the driver has probed the disk, which is usually before the module's
// loading returns.
void waitFor(const std::string& device, milliseconds limit) {
  constexpr milliseconds kStep{2};
  struct stat st;
  for (milliseconds waited{0}; ::stat(device.c_str(), &st) < 0; waited += kStep) {
    if (errno != ENOENT) throw sysError("examine", device);
    if (waited >= limit)
      throw Error(str("cannot find the disk ", device, ": it did not appear within ", limit.count(), " ms"));
    timespec pause{0, std::chrono::nanoseconds(kStep).count()};
    ::nanosleep(&pause, nullptr);
  }
  if (!S_ISBLK(st.st_mode)) throw Error("cannot use " + device + ": it is no block device");
}

// The ext4 superblock, 1024 bytes into the device (Documentation/filesystems/ext4/super.rst).
struct Geometry {
  uint64_t blocks;
  uint32_t blockSize;
};
Geometry geometryOf(const Fd& device, const std::string& name) {
  constexpr size_t kSuperblock = 1024, kMagicAt = 0x38, kLogSizeAt = 0x18, kLowAt = 0x4, kHighAt = 0x150;
  constexpr size_t kFeaturesAt = 0x60;
  constexpr uint32_t k64Bit = 0x80;
  unsigned char block[1024];
  ssize_t n = ::pread(device.get(), block, sizeof block, kSuperblock);
  if (n < 0) throw sysError("read", name);
  auto word = [&block](size_t at) {
    return static_cast<uint32_t>(block[at] | block[at + 1] << 8 | block[at + 2] << 16) |
           static_cast<uint32_t>(block[at + 3]) << 24;
  };
  if (n != sizeof block || block[kMagicAt] != 0x53 || block[kMagicAt + 1] != 0xef || word(kLogSizeAt) > 6)
    throw Error("cannot grow the file system on " + name + ": it is not ext4");
  uint64_t high = (word(kFeaturesAt) & k64Bit) != 0 ? word(kHighAt) : 0;
  return {high << 32 | word(kLowAt), 1024U << word(kLogSizeAt)};
}
}  // namespace

void mountRoot(const std::string& device, const std::string& place, milliseconds limit) {
  waitFor(device, limit);
  // Access times would turn every read of a fresh machine into writes to its overlay.
  check(::mount(device.c_str(), place.c_str(), "ext4", MS_NOATIME, nullptr), "mount", device);
}

void growFileSystem(const Fd& dir, const std::string& device) {
  Fd disk = openFile(device, O_RDONLY);
  uint64_t bytes = 0;
  check(::ioctl(disk.get(), BLKGETSIZE64, &bytes), "measure", device);
  Geometry now = geometryOf(disk, device);
  uint64_t wanted = bytes / now.blockSize;
  if (wanted <= now.blocks) return;
  check(::ioctl(dir.get(), EXT4_IOC_RESIZE_FS, &wanted), "grow the file system on", device);
}

}  // namespace cove::agent
