// Signals of this process, taken instead of suffered.
#pragma once
#include <csignal>
#include <initializer_list>
#include <kj/async-unix.h>

#include "base/fd.h"

namespace cove {

// While it lives, the signals are blocked in this thread, and next() gives them.
class SignalTaker {
 public:
  SignalTaker(kj::UnixEventPort& port, std::initializer_list<int> signals);
  ~SignalTaker();
  SignalTaker(const SignalTaker&) = delete;
  kj::Promise<int> next();

 private:
  kj::UnixEventPort& port_;
  sigset_t before_;
  Fd fd_;
};

}  // namespace cove
