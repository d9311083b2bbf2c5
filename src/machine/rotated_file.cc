#include "machine/rotated_file.h"

#include <cstdio>
#include <unistd.h>

#include "base/error.h"

namespace cove {

RotatedFile::RotatedFile(const Fd& dir, std::string name, size_t limit)
    : dir_(dir.duplicate()), name_(std::move(name)), limit_(limit) {
  open(0);
}

void RotatedFile::open(int flags) {
  file_ = openBeneath(dir_, name_, O_WRONLY | O_APPEND | O_CREAT | flags, 0600);
  size_ = static_cast<size_t>(statOf(file_, name_).st_size);
}

void RotatedFile::append(std::string_view data) {
  if (size_ + data.size() > limit_ && size_ > 0) {
    std::string old = name_ + ".old";
    if (::renameat(dir_.get(), name_.c_str(), dir_.get(), old.c_str()) == 0) open(O_TRUNC);
  }
  if (size_ + data.size() > limit_) data = data.substr(data.size() - std::min(data.size(), limit_));
  while (!data.empty()) {
    ssize_t n = ::write(file_.get(), data.data(), data.size());
    if (n <= 0) return;
    size_ += static_cast<size_t>(n);
    data.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace cove
