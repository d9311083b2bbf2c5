#include "base/fd.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

namespace cove {

Fd::Fd(int fd, std::string_view operation, std::string_view subject) : fd_(fd) {
  if (fd < 0) throw sysError(operation, subject);
}

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Fd Fd::duplicate() const { return Fd(::fcntl(fd_, F_DUPFD_CLOEXEC, 3), "duplicate", "a descriptor"); }

Fd openFile(const std::string& path, int flags, mode_t mode) {
  return Fd(::open(path.c_str(), flags | O_CLOEXEC, mode), "open", path);
}

Fd Fd::reopen() const { return openFile("/proc/self/fd/" + std::to_string(fd_), O_RDONLY); }

Fd openAt(const Fd& dir, const std::string& path, int flags, mode_t mode) {
  return Fd(::openat(dir.get(), path.c_str(), flags | O_CLOEXEC, mode), "open", path);
}

Fd openBeneath(const Fd& dir, const std::string& path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int fd;
  do {  // EAGAIN: a rename raced with the walk; openat2(2) says to try again.
    fd = static_cast<int>(::syscall(SYS_openat2, dir.get(), path.c_str(), &how, sizeof how));
  } while (fd < 0 && errno == EAGAIN);
  return Fd(fd, "open", path);
}

Fd openPrivateDir(const std::string& path) {
  Fd dir = openFile(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  struct stat st = statOf(dir, path);
  if (st.st_uid != ::geteuid())
    throw Error("will not use " + path + ": it belongs to uid " + std::to_string(st.st_uid) +
                ", not to uid " + std::to_string(::geteuid()))
        .hint("Choose another directory with COVE_HOME, or run as its owner.");
  if ((st.st_mode & 077) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", st.st_mode & 07777);
    throw Error("will not use " + path + ": its mode is " + mode + ", so others have access to it")
        .hint("Make it private:\n  chmod 700 " + path);
  }
  return dir;
}

std::string identityOf(const std::string& path) {
  struct stat st = statOf(openFile(path, O_PATH), path);
  std::string identity = path;
  for (int64_t part : {int64_t(st.st_dev), int64_t(st.st_ino), int64_t(st.st_size),
                       int64_t(st.st_mtim.tv_sec), int64_t(st.st_mtim.tv_nsec)})
    identity += " " + std::to_string(part);
  return identity;
}

struct stat statOf(const Fd& fd, std::string_view subject) {
  struct stat st;
  check(::fstat(fd.get(), &st), "examine", subject);
  return st;
}

std::string readAll(const Fd& fd, size_t limit, std::string_view subject) {
  std::string data;
  char buffer[16384];
  for (;;) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw sysError("read", subject);
    if (n == 0) return data;
    if (data.size() + static_cast<size_t>(n) > limit)
      throw Error("will not read " + std::string(subject) + ": it is larger than " + std::to_string(limit) +
                  " bytes");
    data.append(buffer, static_cast<size_t>(n));
  }
}

size_t readSome(const Fd& fd, char* to, size_t size, std::string_view subject) {
  size_t got = 0;
  while (got < size) {
    ssize_t n = ::read(fd.get(), to + got, size - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw sysError("read", subject);
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  return got;
}

std::string readFile(const std::string& path, size_t limit) {
  return readAll(openFile(path, O_RDONLY), limit, path);
}

void writeAll(const Fd& fd, std::string_view data, std::string_view subject) {
  while (!data.empty()) {
    ssize_t n = ::write(fd.get(), data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw sysError("write", subject);
    data.remove_prefix(static_cast<size_t>(n));
  }
}

void writeFileAtomic(const Fd& dir, const std::string& name, std::string_view data, mode_t mode) {
  std::string temporary = "." + name + "." + std::to_string(::getpid()) + ".tmp";
  try {
    Fd file = openAt(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
    check(::fchmod(file.get(), mode), "set the mode of", name);
    writeAll(file, data, name);
    check(::fsync(file.get()), "flush", name);
    check(::renameat(dir.get(), temporary.c_str(), dir.get(), name.c_str()), "replace", name);
  } catch (...) {
    ::unlinkat(dir.get(), temporary.c_str(), 0);
    throw;
  }
  check(::fsync(dir.get()), "flush the directory of", name);
}

Pipe makePipe(int flags) {
  int fds[2];
  check(::pipe2(fds, flags | O_CLOEXEC), "make", "a pipe");
  return {Fd(fds[0]), Fd(fds[1])};
}

std::pair<Fd, Fd> makeSocketPair(int type) {
  int fds[2];
  check(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), "make", "a socket pair");
  return {Fd(fds[0]), Fd(fds[1])};
}

void sendWith(const Fd& socket, std::string_view data, const Fd& descriptor) {
  iovec part{const_cast<char*>(data.data()), data.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (descriptor) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    int number = descriptor.get();
    std::memcpy(CMSG_DATA(c), &number, sizeof number);
  }
  check(::sendmsg(socket.get(), &header, MSG_NOSIGNAL), "send", "a message");
}

Fd makeMemfd(const std::string& name) {
  return Fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING), "make a memory file for", name);
}

void sealMemfd(const Fd& file) {
  check(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), "seal",
        "a memory file");
}

Fd makeSealedMemfd(const std::string& name, std::span<const std::string_view> parts) {
  Fd file = makeMemfd(name);
  for (std::string_view part : parts) writeAll(file, part, name);
  sealMemfd(file);
  check(::lseek(file.get(), 0, SEEK_SET), "rewind", name);
  return file;
}

void setNonblocking(const Fd& fd, bool on) {
  int value = on ? 1 : 0;  // FIONBIO: fcntl(2) would take two calls
  check(::ioctl(fd.get(), FIONBIO, &value), "configure", "a descriptor");
}

}  // namespace cove
