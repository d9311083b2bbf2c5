#include "image_builder/sandbox.h"

#include <unistd.h>

#include "base/contain.h"
#include "base/error.h"
#include "base/text.h"
#include "image/request.h"

namespace cove::image {

namespace {

// What mmdebstrap, apt, dpkg, perl and mke2fs read of the host, where it exists. No apt configuration: what
// the host is told beside Debian is not for the image.
constexpr const char* kHostFiles[] = {
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/perl",
    "/etc/ssl",
    "/etc/ca-certificates",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/mke2fs.conf",
    "/etc/services",
    "/etc/protocols",
};
// The only keys that apt accepts in the sandbox.
constexpr const char* kTrustedKeys = "/etc/apt/trusted.gpg.d/debian-archive-keyring.gpg";
constexpr const char* kDevices[] = {"null", "zero", "full", "random", "urandom"};

std::string pathOf(const Fd& fd) {
  char path[4096];
  ssize_t n = check(::readlink(str("/proc/self/fd/", fd.get()).c_str(), path, sizeof path), "find", "a path");
  return {path, static_cast<size_t>(n)};
}

PlacedFile place(const char* path, std::string_view content) {
  std::string_view parts[] = {content};
  return {path, makeSealedMemfd("file", parts)};
}

std::vector<Bind> binds(const Fd& staging) {
  std::vector<Bind> result;
  for (const char* path : kHostFiles)
    if (::faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) result.push_back({.source = path});
  for (const char* device : kDevices) result.push_back({.source = str("/dev/", device), .devices = true});
  result.push_back({.source = pathOf(openFile("/proc/self/exe", O_PATH)), .target = kSelf});
  result.push_back({.source = kArchiveKeyring, .target = kTrustedKeys});
  result.push_back({.source = pathOf(staging), .target = kOut, .writable = true});
  return result;
}

}  // namespace

Child startSandbox(const Recipe& recipe, const IdMap& ids, Fd request, const Fd& staging, Fd progress,
                   Fd output) {
  Containment c;
  c.name = "the image builder";
  c.identity = {[ids](pid_t pid) { applyIdMap(ids, pid); }, 0, 0};
  c.keepNetwork = true;
  c.binds = binds(staging);
  c.files.push_back(
      place("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"));
  c.files.push_back(place("/etc/group", "root:x:0:\nnogroup:x:65534:\n"));
  // Often a symlink to a file below /run that changes with the network.
  c.files.push_back(place("/etc/resolv.conf", readFile("/etc/resolv.conf", 1 << 16)));
  c.directories = {"/root", "/tmp", "/run", "/var/tmp", kTree, kKernel, "/dev/shm", "/etc/apt/apt.conf.d"};
  c.writableRoot = true;
  c.rootBytes = recipe.memoryBytes * 3;  // a limit, not a reservation
  c.procfs = ProcFs::kAll;
  c.keepCapabilities = true;  // dpkg changes owners, mmdebstrap mounts /proc and enters the tree
  c.allowMounts = true;
  c.unixSockets = false;  // some desktops' buses and X servers listen on abstract ones
  c.exec = ExecRule::kFree;

  Child::Spec spec;
  spec.argv = {kSelf, "assemble"};
  spec.env = std::vector<std::string>{};
  spec.stdout = output.duplicate();
  spec.stderr = std::move(output);
  spec.fds.emplace_back(kRequestFd, std::move(request));
  spec.fds.emplace_back(kProgressFd, std::move(progress));
  return startContained(std::move(c), std::move(spec));
}

}  // namespace cove::image
