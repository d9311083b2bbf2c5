#include "machine/in_thread.h"

#include <kj/thread.h>

#include "rpc/error.h"

namespace cove {

kj::Promise<void> inThread(std::function<void()> body) {
  auto done = kj::newPromiseAndCrossThreadFulfiller<void>();
  auto thread = kj::heap<kj::Thread>([body = std::move(body), fulfiller = kj::mv(done.fulfiller)]() mutable {
    try {
      body();
      fulfiller->fulfill();
    } catch (...) {
      fulfiller->reject(toKj(currentError()));
    }
  });
  return done.promise.attach(kj::mv(thread));
}

}  // namespace cove
