#include "base/version.h"

#include <cstdint>
#include <cstdio>
#include <sys/stat.h>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace cove {

std::string_view version() { return COVE_VERSION; }

std::string buildIdOf(const std::string& program) {
  struct stat st;
  check(::stat(program.c_str(), &st), "examine", program);
  char nanoseconds[16];
  std::snprintf(nanoseconds, sizeof nanoseconds, "%09ld", st.st_mtim.tv_nsec);
  return str(version(), "+", st.st_mtim.tv_sec, ".", nanoseconds);
}

namespace {
std::vector<uint64_t> numbersOf(std::string_view text) {
  std::vector<uint64_t> numbers(1);
  for (char c : text) {
    if (c >= '0' && c <= '9')
      numbers.back() = numbers.back() * 10 + static_cast<uint64_t>(c - '0');
    else
      numbers.push_back(0);
  }
  return numbers;
}
}  // namespace

bool isNewerBuild(std::string_view a, std::string_view b) { return numbersOf(a) > numbersOf(b); }

}  // namespace cove
