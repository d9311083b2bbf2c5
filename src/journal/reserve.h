// Room on the disk that is set aside for changes that make more of it: deleting an instance is what helps
// when the disk is full, and it must be written down first.
#pragma once
#include <string>

#include "base/fd.h"

namespace cove {

class Reserve {
 public:
  // In the file `name` of `dir`; one that an earlier process left is free() until take().
  Reserve(const Fd& dir, std::string name);

  void free() noexcept;
  // As far as there is room; without, there is no reserve until the next time.
  void take() noexcept;

 private:
  Fd dir_;
  std::string name_;
};

}  // namespace cove
