#include "hypervisor/qmp.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {
constexpr size_t kWaiting = 64;  // commands without an answer

std::string versionOf(const std::string& greeting) {
  try {
    const auto version = nlohmann::json::parse(greeting).at("version").at("qemu");
    return str(version.at("major").get<unsigned>(), ".", version.at("minor").get<unsigned>(), ".",
               version.at("micro").get<unsigned>());
  } catch (const nlohmann::json::exception&) {
    throw Error("QEMU broke its protocol: a greeting without a version");
  }
}
}  // namespace

Qmp::Qmp(kj::Own<kj::AsyncIoStream> stream, kj::Timer& timer, EventHandler onEvent)
    : stream_(kj::mv(stream)), timer_(timer), onEvent_(std::move(onEvent)) {
  auto greeting = kj::newPromiseAndFulfiller<std::string>();
  greeting_ = kj::mv(greeting.fulfiller);
  greeted_ = kj::mv(greeting.promise);
  end_ = kj::Promise<void>(readAll()).fork();
}

co::Co<void> Qmp::readAll() {
  kj::Maybe<kj::Exception> reason;
  try {
    char buffer[16384];
    for (;;) {
      size_t n = co_await stream_->tryRead(buffer, 1, sizeof buffer);
      if (n == 0) throw Error("QEMU closed its control connection");
      reader_.feed({buffer, n});
      while (auto message = reader_.next()) handle(std::move(*message));
    }
  } catch (const kj::Exception& e) {
    reason = kj::cp(e);
  } catch (...) {
    reason = toKj(currentError());
  }
  kj::Exception failure = kj::cp(KJ_ASSERT_NONNULL(reason));
  fail(failure);
  kj::throwFatalException(kj::mv(failure));
}

void Qmp::fail(const kj::Exception& reason) {
  failure_ = kj::cp(reason);
  greeting_->reject(kj::cp(reason));
  for (auto& [id, waiting] : std::exchange(waiting_, {})) waiting.fulfiller->reject(kj::cp(reason));
}

void Qmp::handle(QmpMessage message) {
  switch (message.kind) {
    case QmpMessage::Kind::kGreeting:
      if (!greeting_->isWaiting()) throw Error("QEMU broke its protocol: a second greeting");
      return greeting_->fulfill(std::move(message.data));
    case QmpMessage::Kind::kEvent:
      return onEvent_(message);
    case QmpMessage::Kind::kReply:
    case QmpMessage::Kind::kFailure:
      break;
  }
  auto found = waiting_.find(message.id);
  if (found == waiting_.end()) throw Error("QEMU broke its protocol: an answer that nobody waits for");
  Waiting waiting = std::move(found->second);
  waiting_.erase(found);
  if (message.kind == QmpMessage::Kind::kReply) return waiting.fulfiller->fulfill(std::move(message.data));
  waiting.fulfiller->reject(
      toKj(Error(str("QEMU refused ", waiting.name.c_str(), ": ", escapeForTerminal(message.text).c_str()))));
}

void Qmp::send(std::string line) {
  auto text = kj::heap<std::string>(std::move(line));
  writing_ = writing_.then([this, &text = *text] { return stream_->write(text.data(), text.size()); })
                 .attach(kj::mv(text))
                 .eagerlyEvaluate([](kj::Exception&&) {});  // the reader sees the end of the connection, too
}

kj::Promise<std::string> Qmp::negotiate(kj::Duration limit) {
  return timer_.timeoutAfter(limit, kj::mv(greeted_))
      .then([](std::string greeting) { return versionOf(greeting); },
            [](kj::Exception&& e) -> std::string {
              if (e.getType() != kj::Exception::Type::OVERLOADED) kj::throwFatalException(kj::mv(e));
              kj::throwFatalException(toKj(Error("QEMU did not greet in time")));
            })
      .then([this, limit](std::string version) {
        return execute("qmp_capabilities", {}, limit).then([version](std::string) { return version; });
      });
}

kj::Promise<std::string> Qmp::execute(std::string name, std::string arguments, kj::Duration limit) {
  KJ_IF_MAYBE (failure, failure_) return kj::cp(*failure);
  if (waiting_.size() >= kWaiting) return toKj(Error("QEMU does not answer: too many commands wait"));
  uint64_t id = ++lastId_;
  auto answer = kj::newPromiseAndFulfiller<std::string>();
  waiting_.emplace(id, Waiting{name, kj::mv(answer.fulfiller)});
  send(formatQmpCommand(id, name, arguments));
  // The entry stays after a time limit, so that a late answer is not taken for a breach of the protocol.
  return timer_.timeoutAfter(limit, kj::mv(answer.promise))
      .then([](std::string reply) { return reply; },
            [name](kj::Exception&& e) -> std::string {
              if (e.getType() != kj::Exception::Type::OVERLOADED) kj::throwFatalException(kj::mv(e));
              kj::throwFatalException(toKj(Error("QEMU did not answer " + name + " in time")));
            });
}

}  // namespace cove
