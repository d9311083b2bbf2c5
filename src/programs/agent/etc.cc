#include "agent/etc.h"

#include <algorithm>
#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

namespace cove::agent {

namespace {
constexpr size_t kLongest = 1 << 20;
constexpr std::string_view kOwnAddress = "127.0.1.1";

Fd openRoot() { return openFile("/", O_PATH | O_DIRECTORY); }
}  // namespace

std::optional<Fd> findDirectory(const std::string& path) {
  try {
    return openBeneath(openRoot(), path, O_RDONLY | O_DIRECTORY);
  } catch (const Error& e) {
    if (e.code() == ENOENT) return std::nullopt;
    throw;
  }
}

Fd makeDirectory(const std::string& path) {
  Fd dir = openRoot();
  for (size_t at = 0; at < path.size();) {
    size_t end = std::min(path.find('/', at), path.size());
    std::string component = path.substr(at, end - at);
    if (::mkdirat(dir.get(), component.c_str(), 0755) < 0 && errno != EEXIST)
      throw sysError("make the directory", "/" + path.substr(0, end));
    dir = openBeneath(dir, component, O_RDONLY | O_DIRECTORY);
    at = end + 1;
  }
  return dir;
}

std::optional<std::string> readFileAt(const Fd& dir, const std::string& name) {
  try {
    return readAll(openBeneath(dir, name, O_RDONLY | O_NONBLOCK), kLongest, name);
  } catch (const Error& e) {
    if (e.code() == ENOENT) return std::nullopt;
    throw;
  }
}

void replaceFile(const Fd& dir, const std::string& name, std::string_view data, mode_t mode) {
  if (readFileAt(dir, name) == data) return;
  std::string temporary = "." + name + ".cove";
  ::unlinkat(dir.get(), temporary.c_str(), 0);
  uid_t uid = 0;
  gid_t gid = 0;
  struct stat old;
  if (::fstatat(dir.get(), name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(old.st_mode)) {
    uid = old.st_uid;
    gid = old.st_gid;
    mode = old.st_mode & 07777;
  }
  try {
    Fd file = openBeneath(dir, temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
    check(::fchown(file.get(), uid, gid), "set the owner of", name);
    check(::fchmod(file.get(), mode), "set the mode of", name);
    writeAll(file, data, name);
    check(::renameat(dir.get(), temporary.c_str(), dir.get(), name.c_str()), "replace", name);
  } catch (...) {
    ::unlinkat(dir.get(), temporary.c_str(), 0);
    throw;
  }
}

void writeUnit(const std::string& name, std::string_view unit, const std::string& target) {
  replaceFile(makeDirectory("run/systemd/system"), name, unit, 0644);
  Fd wants = makeDirectory("run/systemd/system/" + target + ".wants");
  if (::symlinkat(("../" + name).c_str(), wants.get(), name.c_str()) < 0 && errno != EEXIST)
    throw sysError("link", name);
}

std::optional<Fd> lockAccounts(const Fd& etc) {
  Fd file = openBeneath(etc, ".pwd.lock", O_RDWR | O_CREAT, 0600);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  // An open file description lock: unlike the classic one of the others it does not vanish when some other
  // descriptor of the file is closed, and conflicts with theirs all the same.
  if (::fcntl(file.get(), F_OFD_SETLK, &lock) == 0) return file;
  if (errno == EAGAIN || errno == EACCES) return std::nullopt;
  throw sysError("lock", "/etc/.pwd.lock");
}

std::string withHostName(std::string hosts, std::string_view name) {
  if (hosts.empty()) hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
  std::string line = std::string(kOwnAddress) + "\t" + std::string(name) + "\n";
  std::string result;
  bool placed = false;
  for (size_t at = 0; at < hosts.size();) {
    size_t end = std::min(hosts.find('\n', at), hosts.size() - 1) + 1;
    std::string old = hosts.substr(at, end - at);
    at = end;
    size_t space = old.find_first_of(" \t");
    if (old.compare(0, space, kOwnAddress) != 0) {
      result += old;
    } else if (!placed) {
      result += line;
      placed = true;
    }
  }
  if (!placed) {
    if (result.back() != '\n') result += '\n';
    result += line;
  }
  return result;
}

}  // namespace cove::agent
