// cove-image: builds one image in a sandbox. Started by coved; what it is to do, and where, comes on
// descriptors (image/request.h). Its exit status is 0 or 1; the last line of its standard error says why.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <linux/capability.h>
#include <poll.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/subids.h"
#include "base/text.h"
#include "image/request.h"
#include "image_builder/assemble.h"
#include "image_builder/command.h"
#include "image_builder/sandbox.h"
#include "image_builder/seal.h"

namespace cove::image {
namespace {

constexpr size_t kLargestRequest = 1 << 16;

std::string readRequest(const Fd& fd) {
  check(::lseek(fd.get(), 0, SEEK_SET), "read", "the build request");
  return readAll(fd, kLargestRequest, "the build request");
}

// False when it failed, or when nobody waits for the image any more.
bool waitForSandbox(Child& sandbox, const Fd& progress) {
  pollfd waits[2] = {{sandbox.pidfd().get(), POLLIN, 0}, {progress.get(), 0, 0}};  // POLLERR: no reader
  while (::poll(waits, 2, -1) < 0)
    if (errno != EINTR) throw sysError("wait for", "the sandbox");
  return waits[0].revents != 0 && sandbox.wait().ok();
}

int build() {
  Fd request(kRequestFd), staging(kStagingFd), progress(kProgressFd);
  BuildRequest what = BuildRequest::decode(readRequest(request));
  Recipe recipe = recipeFor(what.os);
  IdMap ids = subIdMap();
  // root's own files are not the sandbox's, whose 0 is somebody else.
  check(::fchown(staging.get(), ids.uid, ids.gid), "hand over", "the staging directory");
  Child sandbox = startSandbox(recipe, ids, std::move(request), staging, progress.duplicate(),
                               Fd(::dup(STDERR_FILENO), "duplicate", "the log"));
  if (!waitForSandbox(sandbox, progress)) return 1;  // it has said why
  writeAll(progress, Progress{"checking the image", 0, 0}.encode(), "the progress");
  seal(recipe, staging);
  return 0;
}

// What dpkg, mmdebstrap and chroot need of the powers of their own user namespace; SYS_ADMIN is for mounting
// /proc and /dev in the new tree.
constexpr int kCapabilities[] = {CAP_CHOWN,      CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
                                 CAP_FSETID,     CAP_KILL,         CAP_SETGID,          CAP_SETUID,
                                 CAP_SYS_CHROOT, CAP_SETFCAP,      CAP_SYS_ADMIN};

void limitCapabilities() {
  for (int capability = 0; capability <= 63; ++capability) {
    if (std::find(std::begin(kCapabilities), std::end(kCapabilities), capability) != std::end(kCapabilities))
      continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // past the last one that this kernel knows
    throw sysError("drop", "capabilities");
  }
}

int assembleInside() {
  Fd request(kRequestFd), progress(kProgressFd);
  // Whatever starts from here gets none of them.
  for (int fd : {kRequestFd, kProgressFd}) check(::fcntl(fd, F_SETFD, FD_CLOEXEC), "protect", "a descriptor");
  limitCapabilities();
  assemble(BuildRequest::decode(readRequest(request)), progress);
  return 0;
}

}  // namespace
}  // namespace cove::image

int main(int argc, char** argv) {
  using namespace cove;
  try {
    if (sodium_init() < 0) throw Error("cannot use libsodium");
    bool inside = argc == 2 && std::strcmp(argv[1], "assemble") == 0;
    if (argc != 1 && !inside) throw Error("cove-image is started by coved").status(Exit::kUsage);
    return inside ? image::assembleInside() : image::build();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cove-image: %s\n", escapeForTerminal(e.what()).c_str());
    return 1;
  }
}
