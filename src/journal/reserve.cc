#include "journal/reserve.h"

#include <unistd.h>

#include "base/error.h"

namespace cove {

namespace {
// A deletion writes some dozens of pages of 4 KiB; a daemon that starts on a full disk its log besides.
constexpr off_t kSize = 1 << 20;
}  // namespace

Reserve::Reserve(const Fd& dir, std::string name) : dir_(dir.duplicate()), name_(std::move(name)) { free(); }

void Reserve::free() noexcept { ::unlinkat(dir_.get(), name_.c_str(), 0); }

void Reserve::take() noexcept {
  try {
    Fd file = openBeneath(dir_, name_, O_WRONLY | O_CREAT, 0600);
    if (::posix_fallocate(file.get(), 0, kSize) != 0) free();
  } catch (const Error&) {
    return;  // not even room for its name
  }
}

}  // namespace cove
