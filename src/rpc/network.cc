#include "rpc/network.h"

#include "base/text.h"
#include "rpc/connection.h"
#include "rpc/limits.h"

namespace cove {

namespace {
namespace wire = capnp::rpc;
// Most messages are answers without a result; what holds more says so, or gets further segments.
constexpr uint kFirstSegment = 64;
}  // namespace

class RpcNetwork::Incoming final : public capnp::IncomingRpcMessage {
 public:
  Incoming(kj::Own<capnp::MessageReader> message, kj::Array<kj::AutoCloseFd> space,
           kj::ArrayPtr<kj::AutoCloseFd> fds)
      : message_(kj::mv(message)), space_(kj::mv(space)), fds_(fds) {}
  capnp::AnyPointer::Reader getBody() override { return message_->getRoot<capnp::AnyPointer>(); }
  kj::ArrayPtr<kj::AutoCloseFd> getAttachedFds() override { return fds_; }
  size_t sizeInWords() override { return message_->sizeInWords(); }

 private:
  kj::Own<capnp::MessageReader> message_;
  kj::Array<kj::AutoCloseFd> space_;
  kj::ArrayPtr<kj::AutoCloseFd> fds_;  // in space_
};

class RpcNetwork::Outgoing final : public capnp::OutgoingRpcMessage, public kj::Refcounted {
 public:
  Outgoing(RpcNetwork& network, uint firstSegmentWords)
      : network_(network), message_(firstSegmentWords == 0 ? kFirstSegment : firstSegmentWords) {}
  capnp::AnyPointer::Builder getBody() override { return message_.getRoot<capnp::AnyPointer>(); }
  void setFds(kj::Array<int> fds) override { fds_ = kj::mv(fds); }
  void send() override { network_.enqueue(kj::addRef(*this)); }
  size_t sizeInWords() override { return message_.sizeInWords(); }

  kj::Promise<void> write() { return network_.stream_->writeMessage(fds_, message_.getSegmentsForOutput()); }
  // Sent on the peer's account, not on ours.
  bool isAnswer() { return message_.getRoot<wire::Message>().which() != wire::Message::CALL; }

 private:
  RpcNetwork& network_;
  capnp::MallocMessageBuilder message_;
  kj::Array<int> fds_;
};

RpcNetwork::RpcNetwork(kj::Own<capnp::MessageStream> stream, uint descriptors, Side side)
    : stream_(kj::mv(stream)), descriptors_(descriptors), side_(side) {
  peer_.initRoot<wire::twoparty::VatId>().setSide(side == Side::CLIENT ? Side::SERVER : Side::CLIENT);
  auto end = kj::newPromiseAndFulfiller<void>();
  disconnected_ = kj::mv(end.fulfiller);
  whenDisconnected_ = end.promise.fork();
}

RpcNetwork::~RpcNetwork() noexcept(false) {}

kj::Maybe<kj::Own<RpcNetwork::Peer>> RpcNetwork::connect(wire::twoparty::VatId::Reader peer) {
  if (peer.getSide() == side_) return nullptr;
  return handOut();
}

kj::Promise<kj::Own<RpcNetwork::Peer>> RpcNetwork::accept() {
  if (side_ == Side::CLIENT || accepted_) return kj::NEVER_DONE;
  accepted_ = true;
  return handOut();
}

kj::Own<capnp::RpcFlowController> RpcNetwork::newStream() {
  return capnp::RpcFlowController::newFixedWindowController(kStreamWindow);
}

wire::twoparty::VatId::Reader RpcNetwork::getPeerVatId() {
  return peer_.getRoot<wire::twoparty::VatId>().asReader();
}

kj::Own<capnp::OutgoingRpcMessage> RpcNetwork::newOutgoingMessage(uint firstSegmentWords) {
  return kj::refcounted<Outgoing>(*this, firstSegmentWords);
}

kj::Promise<kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>> RpcNetwork::receiveIncomingMessage() {
  KJ_IF_MAYBE (reason, closed_) return kj::cp(*reason);
  // Later: others get their turn between two messages of a peer that floods.
  return reads_.wrap(kj::evalLater(
      [this] { return kj::Promise<kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>>(receive()); }));
}

co::Co<kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>> RpcNetwork::receive() {
  auto space = kj::heapArray<kj::AutoCloseFd>(descriptors_);
  kj::Maybe<capnp::MessageReaderAndFds> read = co_await stream_->tryReadMessage(space, readerOptions());
  KJ_IF_MAYBE (got, read) {
    account(got->reader->getRoot<wire::Message>());
    kj::Own<capnp::IncomingRpcMessage> message =
        kj::heap<Incoming>(kj::mv(got->reader), kj::mv(space), got->fds);
    co_return kj::mv(message);
  }
  co_return nullptr;
}

// Its error ends the connection.
void RpcNetwork::account(wire::Message::Reader message) {
  if (message.isCall() || message.isBootstrap()) ++openCalls_;
  if (message.isFinish() && openCalls_ > 0) --openCalls_;
  if (openCalls_ <= kOpenCalls && answers_ <= kOpenCalls) return;
  refusal_ = str("the other side asked ", kOpenCalls, " times and took no answer");
  throw Error(refusal_);
}

void RpcNetwork::enqueue(kj::Own<Outgoing> message) {
  if (closed_ != nullptr) return;
  if (message->isAnswer()) ++answers_;
  queue_.push_back(kj::mv(message));
  if (!writing_) writer_ = kj::Promise<void>(writeQueue()).eagerlyEvaluate(nullptr);
}

// What cannot be written ends reading too, where the RPC system learns of it.
co::Co<void> RpcNetwork::writeQueue() {
  writing_ = true;
  try {
    while (!queue_.empty()) {
      co_await queue_.front()->write();
      if (queue_.front()->isAnswer()) --answers_;
      queue_.pop_front();
    }
    writing_ = false;
  } catch (const kj::Exception& e) {
    close(kj::cp(e));
  }
}

void RpcNetwork::close(kj::Exception reason) {
  if (closed_ != nullptr) return;
  closed_ = kj::cp(reason);
  reads_.cancel(reason);
}

kj::Promise<void> RpcNetwork::shutdown() {
  close(KJ_EXCEPTION(DISCONNECTED, "the connection is closed"));
  writer_ = nullptr;
  queue_.clear();
  disconnected_->fulfill();
  return kj::READY_NOW;
}

}  // namespace cove
