// The messages of one Cap'n Proto connection, with bounds on what a peer makes us keep. In the place of
// capnp::TwoPartyVatNetwork, whose queue of messages that a peer does not take is without end, and is freed
// recursively: a peer that asks and never takes its answers overflowed the stack.
#pragma once
#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.capnp.h>
#include <deque>
#include <string>

#include "rpc/co.h"

namespace cove {

class RpcNetwork final : public capnp::TwoPartyVatNetworkBase,
                         private capnp::TwoPartyVatNetworkBase::Connection {
 public:
  using Side = capnp::rpc::twoparty::Side;
  using Peer = capnp::TwoPartyVatNetworkBase::Connection;
  // At most `descriptors` come with one message.
  RpcNetwork(kj::Own<capnp::MessageStream> stream, uint descriptors, Side side);
  ~RpcNetwork() noexcept(false);

  // The peer left, or was left because it broke the protocol or exceeded a bound. What it had not taken by
  // then is dropped: it may never take it.
  kj::Promise<void> onDisconnect() { return whenDisconnected_.addBranch(); }
  // Why we left the peer: the bound that it exceeded. "" otherwise.
  const std::string& refusal() const { return refusal_; }

  kj::Maybe<kj::Own<Peer>> connect(capnp::rpc::twoparty::VatId::Reader peer) override;
  kj::Promise<kj::Own<Peer>> accept() override;

 private:
  class Incoming;
  class Outgoing;

  kj::Own<capnp::RpcFlowController> newStream() override;
  capnp::rpc::twoparty::VatId::Reader getPeerVatId() override;
  kj::Own<capnp::OutgoingRpcMessage> newOutgoingMessage(uint firstSegmentWords) override;
  kj::Promise<kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>> receiveIncomingMessage() override;
  kj::Promise<void> shutdown() override;

  kj::Own<Peer> handOut() { return {static_cast<Peer*>(this), kj::NullDisposer::instance}; }
  co::Co<kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>> receive();
  void account(capnp::rpc::Message::Reader message);
  void enqueue(kj::Own<Outgoing> message);
  co::Co<void> writeQueue();
  void close(kj::Exception reason);

  kj::Own<capnp::MessageStream> stream_;
  uint descriptors_;
  Side side_;
  capnp::MallocMessageBuilder peer_;
  bool accepted_ = false;
  kj::Own<kj::PromiseFulfiller<void>> disconnected_;
  kj::ForkedPromise<void> whenDisconnected_ = nullptr;
  std::string refusal_;
  kj::Maybe<kj::Exception> closed_;
  kj::Canceler reads_;

  uint64_t openCalls_ = 0;  // of the peer, which it has not finished
  uint64_t answers_ = 0;    // in queue_
  std::deque<kj::Own<Outgoing>> queue_;
  bool writing_ = false;
  kj::Promise<void> writer_ = nullptr;
};

}  // namespace cove
