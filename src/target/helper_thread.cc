#include "target/helper_thread.h"

#include <csignal>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>

#include "base/error.h"
#include "rpc/connection.h"

namespace cove {

HelperThread::HelperThread(kj::UnixEventPort& port) : port_(port), shared_(std::make_shared<Shared>()) {
  shared_->done = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "make", "an event descriptor");
}

HelperThread::~HelperThread() {
  std::lock_guard lock(shared_->mutex);
  shared_->stop = true;
  shared_->changed.notify_one();
}

kj::Promise<ssize_t> HelperThread::run(std::function<ssize_t()> operation) {
  {
    std::lock_guard lock(shared_->mutex);
    shared_->operation = std::move(operation);
    shared_->changed.notify_one();
  }
  if (!started_) {
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread(loop, shared_).detach();
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    started_ = true;
  }
  return whenReadable(port_, shared_->done.get()).then([shared = shared_] {
    uint64_t count;
    check(::read(shared->done.get(), &count, sizeof count), "read", "an event descriptor");
    std::lock_guard lock(shared->mutex);
    return shared->result;
  });
}

void HelperThread::loop(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->changed.wait(lock, [&] { return shared->stop || shared->operation; });
    if (shared->stop) return;
    auto operation = std::move(shared->operation);
    shared->operation = nullptr;
    lock.unlock();
    ssize_t result = operation();
    lock.lock();
    shared->result = result;
    uint64_t one = 1;
    [[maybe_unused]] ssize_t written = ::write(shared->done.get(), &one, sizeof one);
  }
}

}  // namespace cove
