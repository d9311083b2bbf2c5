// Byte streams between descriptors and ByteSinks, with the window of rpc/limits.h as flow control.
//
// The descriptors given here become O_NONBLOCK, so they are the server's own: never a descriptor that is
// shared with another process (for a command line's 0, 1 and 2 see target/client.h).
#pragma once
#include <functional>
#include <kj/async-unix.h>

#include "base/fd.h"
#include "rpc/target.capnp.h"

namespace cove {

// Sends what a descriptor gives to a sink that may be lost and replaced. What no sink has acknowledged is
// kept, at most kReplayRing bytes; when that is full, the descriptor is not read.
class StreamSender {
 public:
  // `endIsTold`: endAfter() will be called, soon after the end of file more often than not.
  StreamSender(kj::UnixEventPort& port, Fd source, bool endIsTold = false);
  ~StreamSender() noexcept(false);

  // Begins with the first byte that was not acknowledged, and takes the place of the sink before.
  void attach(rpc::ByteSink::Client sink);
  void detach();
  bool attached() const;
  // The writer has ended: what others who hold it open add after `grace` is not read any more.
  void endAfter(kj::Duration grace);
  // End of file was read and all of it given to the sink, which need not have acknowledged it yet; or the
  // sink refused. Waits for the next attach() where there is no sink.
  kj::Promise<void> whenSent();
  // The sink has acknowledged everything. Fails when the sink refuses or is lost.
  kj::Promise<void> whenAcknowledged();
  // The sink answered with an error that is not its loss: the descriptor was closed.
  bool refused() const;

 private:
  class Impl;
  kj::Own<Impl> impl_;
};

// Sends a descriptor to its end. Answered when the sink has acknowledged everything.
kj::Promise<void> sendAll(kj::UnixEventPort& port, Fd source, rpc::ByteSink::Client sink);

// Receives one direction of a stream and writes it to a descriptor: pipe, socket, terminal or file.
// An answer means that the kernel has the bytes. Senders may change; the offset goes on.
class StreamReceiver : public kj::Refcounted {
 public:
  // `atEnd` runs once when end() came and all was written; without it the descriptor is closed then.
  StreamReceiver(kj::UnixEventPort& port, Fd destination, std::function<void(Fd&)> atEnd = closeIt);
  ~StreamReceiver() noexcept(false) override;

  // A sink of this receiver, which it keeps alive. The one made before refuses from now on.
  rpc::ByteSink::Client makeSink();
  uint64_t offset() const;  // bytes written to the descriptor
  // No more bytes are taken: the descriptor is closed, senders get an error.
  void close();
  static void closeIt(Fd& destination) { destination.reset(); }

 private:
  class Impl;
  class Sink;
  kj::Own<Impl> impl_;
};

rpc::ByteSink::Client makeFdSink(kj::UnixEventPort& port, Fd destination);
// Takes everything and keeps nothing.
rpc::ByteSink::Client makeNullSink();

}  // namespace cove
