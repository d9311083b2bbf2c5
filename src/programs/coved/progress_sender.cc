#include "coved/progress_sender.h"

#include <memory>
#include <optional>

namespace cove {

namespace {

struct Sender : std::enable_shared_from_this<Sender> {
  explicit Sender(rpc::Progress::Client to) : client(kj::mv(to)) {}

  void send(image::Progress report) {
    if (busy) {
      next = std::move(report);
      return;
    }
    busy = true;
    auto request = client.reportRequest();
    request.setStep(report.step);
    request.setDone(report.done);
    request.setTotal(report.total);
    // The client may be what keeps us alive, and we it: a weak reference ends with the call.
    sending = request.send()
                  .ignoreResult()
                  .then([weak = weak_from_this()] {
                    auto self = weak.lock();
                    if (!self) return;
                    self->busy = false;
                    if (auto newer = std::exchange(self->next, std::nullopt)) self->later(std::move(*newer));
                  })
                  .eagerlyEvaluate([](kj::Exception&&) {});  // it stays busy: nothing more is sent
  }
  // Not from within the promise that is replaced.
  void later(image::Progress report) {
    sendingNext = kj::evalLater([weak = weak_from_this(), report = std::move(report)]() mutable {
                    if (auto self = weak.lock()) self->send(std::move(report));
                  }).eagerlyEvaluate(nullptr);
  }

  rpc::Progress::Client client;
  bool busy = false;
  std::optional<image::Progress> next;
  kj::Promise<void> sending = nullptr, sendingNext = nullptr;
};

}  // namespace

image::ProgressCallback sendProgress(rpc::Progress::Client client) {
  return
      [sender = std::make_shared<Sender>(kj::mv(client))](std::string step, uint64_t done, uint64_t total) {
        sender->send({std::move(step), done, total});
      };
}

}  // namespace cove
