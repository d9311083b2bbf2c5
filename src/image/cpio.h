// Writes an archive in the format that the kernel unpacks as its initial file system ("newc", uncompressed;
// Documentation/driver-api/early-userspace/buffer-format.rst).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace cove::image {

// Everything belongs to root, has no time stamp, and comes in the order of the calls: equal calls give equal
// bytes. Paths are relative ("lib/modules/x.ko"); a directory comes before what lies in it.
class CpioWriter {
 public:
  void directory(std::string_view path, mode_t mode = 0755);
  void file(std::string_view path, std::string_view content, mode_t mode = 0644);
  // The archive, ended. Nothing can be added afterwards.
  std::string finish() &&;

 private:
  void entry(std::string_view path, mode_t mode, std::string_view content);
  std::string out_;
  uint32_t inode_ = 0;
};

}  // namespace cove::image
