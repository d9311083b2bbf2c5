// One end of a channel (rpc/channel.h): a nonblocking descriptor, the scanner, and at most one epoch's
// stream.
#pragma once
#include <array>
#include <functional>
#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <span>
#include <vector>

#include "base/fd.h"
#include "rpc/co.h"
#include "rpc/frame_queue.h"
#include "rpc/scanner.h"

namespace cove {

class Link : public kj::Refcounted, private kj::TaskSet::ErrorHandler {
 public:
  // How the two sides differ.
  struct Events {
    std::function<void(Record, uint64_t nonce)> record;
    std::function<void()> lost;    // the epoch ended by broken framing, or its stream was dropped
    std::function<void()> closed;  // end of file; on a device, whose peer may come back, at every time
  };
  Link(kj::UnixEventPort& port, Fd fd, bool device);
  ~Link() noexcept(false) override { endEpoch(); }
  void start(Events events);
  void stop() { events_ = {}; }
  void onRecord(std::function<void(Record, uint64_t)> record) { events_.record = std::move(record); }

  // Zeros and a record, or a record alone. Takes the place of what is being written.
  kj::Promise<void> sendOpening(Record type, uint64_t nonce);
  kj::Promise<void> sendRecord(Record type, uint64_t nonce);

  void beginEpoch(uint64_t epoch);  // ends the one before
  void endEpoch();
  bool inEpoch() const { return inEpoch_; }
  kj::Own<kj::AsyncIoStream> makeStream();

 private:
  class Stream;
  class Read;

  co::Co<void> readLoop();
  void parse();
  ssize_t readSome();
  void answerRead();
  void finishRead(size_t count);
  co::Co<void> writeBytes(std::vector<std::byte> bytes);
  co::Co<void> writeFrames(FrameQueue::Pieces pieces);
  kj::Promise<void> whenRoom();
  void startFlushing();
  co::Co<void> flush();
  void dropWrites(const char* why);
  co::Co<void> writeAll(std::span<const std::byte> bytes);
  void taskFailed(kj::Exception&& exception) override;

  Fd fd_;
  bool device_;
  bool atEnd_ = false;
  bool inEpoch_ = false;
  uint64_t generation_ = 0;  // of epochs, to tell a stream that its own is over
  kj::UnixEventPort& port_;
  kj::UnixEventPort::FdObserver observer_;
  Events events_;
  Scanner scanner_;
  std::array<std::byte, 8192> buffer_;
  std::span<const std::byte> input_;  // in buffer_
  Read* read_ = nullptr;
  kj::Own<kj::PromiseFulfiller<void>> demand_;
  kj::Canceler writes_;
  FrameQueue queue_;
  kj::Own<kj::PromiseFulfiller<void>> room_;
  bool flushing_ = false;
  kj::Promise<void> flusher_ = nullptr;
  kj::Own<kj::PromiseFulfiller<void>> ended_;
  kj::TaskSet tasks_;
};

}  // namespace cove
