#include "machine/initrd.h"

#include <cstdio>
#include <unistd.h>

#include "base/error.h"

namespace cove {

namespace {
constexpr size_t kLongestModules = 256 << 20, kLongestAgent = 64 << 20;

// The "newc" format: Documentation/driver-api/early-userspace/buffer-format.rst of Linux. The kernel takes
// several archives in a row; each header begins at a multiple of four.
std::string header(unsigned inode, unsigned mode, size_t size, std::string_view name) {
  char fields[111];
  std::snprintf(fields, sizeof fields, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", inode,
                mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name.size() + 1, 0);
  std::string result = fields;
  result.append(name).append(1, '\0');
  return result;
}

void pad(std::string& text, size_t before) {
  while ((before + text.size()) % 4 != 0) text += '\0';
}
}  // namespace

Fd composeInitrd(const Fd& modules, const Fd& agent) {
  // Read with an offset of its own: the descriptors may be used again.
  auto contents = [](const Fd& fd, size_t limit, const char* what) {
    check(::lseek(fd.get(), 0, SEEK_SET), "rewind", what);
    return readAll(fd, limit, what);
  };
  std::string first = contents(modules, kLongestModules, "the image's kernel modules");
  std::string program = contents(agent, kLongestAgent, "cove-agent");
  pad(first, 0);
  std::string before = header(1, 0100755, program.size(), "init");
  pad(before, first.size());
  std::string after;
  pad(after, first.size() + before.size() + program.size());
  after += header(0, 0, 0, "TRAILER!!!");
  pad(after, first.size() + before.size() + program.size());
  const std::string_view parts[] = {first, before, program, after};
  return makeSealedMemfd("initrd", parts);
}

}  // namespace cove
