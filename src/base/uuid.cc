#include "base/uuid.h"

#include "base/fd.h"

namespace cove {

std::string newUuid() {
  std::string id = readFile("/proc/sys/kernel/random/uuid", 64);
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

bool isUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    bool digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
    if (dash ? text[i] != '-' : !digit) return false;
  }
  return true;
}

}  // namespace cove
