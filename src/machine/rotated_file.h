// A file that is only appended to and never grows beyond a bound: when it would, it becomes NAME.old.
#pragma once
#include <string>
#include <string_view>

#include "base/fd.h"

namespace cove {

class RotatedFile {
 public:
  // Goes on with an existing file. `dir` is duplicated.
  RotatedFile(const Fd& dir, std::string name, size_t limit);
  // What cannot be written (a full disk) is lost: a log must not stop what it reports about.
  void append(std::string_view data);
  const Fd& fd() const { return file_; }  // another one after a rotation

 private:
  void open(int flags);
  Fd dir_;
  std::string name_;
  size_t limit_;
  Fd file_;
  size_t size_ = 0;
};

}  // namespace cove
