#include "machine/boot_files.h"

#include <cstdio>
#include <unistd.h>

#include "base/error.h"

namespace cove {

namespace {
constexpr size_t kLongestKernel = 256 << 20, kLongestModules = 256 << 20, kLongestAgent = 64 << 20;

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

void BootFiles::fill(const Fd& image, const Fd& agent) const {
  auto contents = [&image](const char* name, size_t limit) {
    return readAll(openBeneath(image, name, O_RDONLY), limit, name);
  };
  writeAll(kernel, contents("kernel", kLongestKernel), "the kernel");
  std::string first = contents("modules.cpio", kLongestModules);
  std::string program = readAll(agent, kLongestAgent, "cove-agent");
  pad(first, 0);
  std::string before = header(1, 0100755, program.size(), "init");
  pad(before, first.size());
  std::string after;
  pad(after, first.size() + before.size() + program.size());
  after += header(0, 0, 0, "TRAILER!!!");
  pad(after, first.size() + before.size() + program.size());
  for (std::string_view part : {first, before, program, after}) writeAll(initrd, part, "the initrd");
}

void BootFiles::seal() const {
  sealMemfd(kernel);
  sealMemfd(initrd);
}

}  // namespace cove
