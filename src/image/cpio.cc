#include "image/cpio.h"

#include <cstdio>
#include <sys/stat.h>
#include <utility>

namespace cove::image {

namespace {
void pad(std::string& out) { out.resize((out.size() + 3) / 4 * 4, '\0'); }
}  // namespace

void CpioWriter::entry(std::string_view path, mode_t mode, std::string_view content) {
  char header[6 + 13 * 8 + 1];
  // magic, ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize,
  // check
  std::snprintf(header, sizeof header, "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X",
                ++inode_, mode, 0, 0, S_ISDIR(mode) ? 2 : 1, 0, content.size(), 0, 0, 0, 0, path.size() + 1,
                0);
  out_ += header;
  out_ += path;
  out_ += '\0';
  pad(out_);
  out_ += content;
  pad(out_);
}

void CpioWriter::directory(std::string_view path, mode_t mode) { entry(path, S_IFDIR | mode, {}); }

void CpioWriter::file(std::string_view path, std::string_view content, mode_t mode) {
  entry(path, S_IFREG | mode, content);
}

std::string CpioWriter::finish() && {
  entry("TRAILER!!!", 0, {});
  return std::move(out_);
}

}  // namespace cove::image
