// The channel between a supervisor and the agent: one byte pipe (a virtio port, whose ends may die and come
// back at any moment) made into a sequence of epochs, each of them one reliable stream.
//
// Wire, little-endian. A frame is {epoch u64, length u32, 0 u32}, `length` bytes, {epoch u64}; a record is
// {magic u64, nonce u64, ~nonce u64}. The host opens with kFlush zero bytes and a hello that carries a fresh
// nonce, and repeats that until the agent's welcome brings the nonce back: the nonce is the epoch. An agent
// that starts says so in the same way (zeros, a "here" record), and the host hellos at once.
//
// Why it is sound: whoever sits in half a frame of a dead peer gets the rest of it from the zeros, sees that
// the trailer is not the epoch, and searches for the next record. The last byte of a write() is delivered
// only after its frame's trailer was seen, so that the zeros are never taken for data. Zeros between frames
// mean nothing.
//
// Not encrypted, not authenticated: on the guest's side only root can open the port, and the host trusts
// nothing that comes out of it. A peer may flood: what is read is bounded by fixed buffers, and others get
// their turn.
#pragma once
#include <kj/async-io.h>
#include <kj/async-unix.h>

#include "base/fd.h"

namespace cove {

// The host's side, on a stream socket to QEMU's chardev. Waits for as long as the agent needs to come up;
// drop the promise to give up. The stream ends (EOF) when the agent was restarted, the peer broke the
// framing, or QEMU closed the socket. To go on after the first two, open again on a duplicate of the
// descriptor.
//
// kAtOnce is for an agent that is known to hear, as it did when its machine was saved: the stream is there
// with the hello, which has no zeros before it, and what is written to it follows without waiting for the
// welcome. Where none comes in time, the stream ends.
enum class Opening { kWhenWelcome, kAtOnce };
kj::Promise<kj::Own<kj::AsyncIoStream>> openChannel(kj::UnixEventPort& port, Fd socket,
                                                    Opening opening = Opening::kWhenWelcome);

// The agent's side, on the virtio port (opened O_RDWR). One stream an epoch; a new hello ends the old
// stream: reads give EOF, writes fail as disconnected. End of file on the port itself means that the host is
// away, and is waited out.
class ChannelServer {
 public:
  ChannelServer(kj::UnixEventPort& port, Fd device);
  ~ChannelServer() noexcept(false);
  // The next epoch's stream, the newest one if several came. One call at a time.
  kj::Promise<kj::Own<kj::AsyncIoStream>> accept();

 private:
  class Impl;
  kj::Own<Impl> impl_;
};

}  // namespace cove
