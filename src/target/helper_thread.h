// A thread for one blocking operation after another, in step with the event loop.
#pragma once
#include <condition_variable>
#include <functional>
#include <kj/async-unix.h>
#include <memory>
#include <mutex>

#include "base/fd.h"

namespace cove {

class HelperThread {
 public:
  explicit HelperThread(kj::UnixEventPort& port);
  // The thread ends by itself when its operation does.
  ~HelperThread();
  HelperThread(const HelperThread&) = delete;

  // Runs in the thread, with all signals blocked; resolves with its result. One at a time. It must not refer
  // to anything that it does not own: it may outlive who asked for it.
  kj::Promise<ssize_t> run(std::function<ssize_t()> operation);

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::function<ssize_t()> operation;
    ssize_t result = 0;
    bool stop = false;
    Fd done;  // eventfd
  };
  static void loop(const std::shared_ptr<Shared>& shared);

  kj::UnixEventPort& port_;
  std::shared_ptr<Shared> shared_;
  bool started_ = false;
};

}  // namespace cove
