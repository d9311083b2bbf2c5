// A state directory of its own for each test.
#pragma once
#include <cstdlib>
#include <gmock/gmock.h>
#include <string>

#include "base/error.h"
#include "base/paths.h"
#include "base/text.h"

namespace cove {

class TemporaryState {
 public:
  TemporaryState() {
    char path[] = "/tmp/cove-test-XXXXXX";
    if (::mkdtemp(path) == nullptr) throw sysError("make", "a temporary directory");
    dir_ = openStateDir(path);
  }
  TemporaryState(const TemporaryState&) = delete;
  ~TemporaryState() { [[maybe_unused]] int status = std::system(("rm -rf " + dir_.path).c_str()); }
  const StateDir& dir() const { return dir_; }
  std::string path(const std::string& name) const { return dir_.path + "/" + name; }

 private:
  StateDir dir_;
};

}  // namespace cove
