// An owned file descriptor, and the file operations that everything else is made of.
//
// All descriptors are O_CLOEXEC. Paths that others may change are opened relative to a directory descriptor
// with openBeneath(), which never leaves that directory and follows no symlink.
#pragma once
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <span>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <sys/types.h>
#include <utility>

namespace cove {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  // Takes the result of a system call; -1 throws "cannot OPERATION SUBJECT: …".
  Fd(int fd, std::string_view operation, std::string_view subject = {});
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);
  // A second descriptor of the same open file, O_CLOEXEC, numbered 3 or above.
  Fd duplicate() const;
  // The same file opened anew, O_RDONLY: neither its position nor its flags are shared.
  Fd reopen() const;

 private:
  int fd_ = -1;
};

// open(2) and openat(2) with O_CLOEXEC added. `name` in errors is the path as given.
Fd openFile(const std::string& path, int flags, mode_t mode = 0);
Fd openAt(const Fd& dir, const std::string& path, int flags, mode_t mode = 0);
// openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS.
Fd openBeneath(const Fd& dir, const std::string& path, int flags, mode_t mode = 0);
// A directory of the effective user with no rights for others, opened O_NOFOLLOW; refuses any other.
Fd openPrivateDir(const std::string& path);

// Which file it is, and whether it was changed since: what replaces it is another one. For comparisons only.
std::string identityOf(const std::string& path);
struct stat statOf(const Fd& fd, std::string_view subject = "file");

// Whole contents, at most `limit` bytes; more is an error that names `subject`.
std::string readAll(const Fd& fd, size_t limit, std::string_view subject);
std::string readFile(const std::string& path, size_t limit);
// From the descriptor's position, until `size` bytes are there or the file has ended; how many.
size_t readSome(const Fd& fd, char* to, size_t size, std::string_view subject);
void writeAll(const Fd& fd, std::string_view data, std::string_view subject);
// Writes beside `name`, flushes it and the directory, and renames: the old file or the new one, never a part.
void writeFileAtomic(const Fd& dir, const std::string& name, std::string_view data, mode_t mode);

struct Pipe {
  Fd read, write;
};
Pipe makePipe(int flags = 0);
std::pair<Fd, Fd> makeSocketPair(int type);
// A message to a unix socket, with a descriptor where one is given.
void sendWith(const Fd& socket, std::string_view data, const Fd& descriptor);
// An anonymous file in memory; sealed against any change when `data` is given.
Fd makeMemfd(const std::string& name);
void sealMemfd(const Fd& file);
Fd makeSealedMemfd(const std::string& name, std::span<const std::string_view> parts);
void setNonblocking(const Fd& fd, bool on = true);

}  // namespace cove
