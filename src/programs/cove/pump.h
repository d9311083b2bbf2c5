// Threads that copy between descriptors of our own and shared ones (0, 1, 2), which must block.
#pragma once
#include <thread>

#include "base/fd.h"

namespace cove::cli {

// The read end of a pipe into which a thread copies what `shared` gives, until its end. The thread is left
// behind when the process exits.
Fd readThrough(int shared);

// What is written to `input` reaches `shared`.
class WriteThrough {
 public:
  explicit WriteThrough(int shared);
  ~WriteThrough();
  Fd takeInput() { return std::move(input_); }
  // Readable when everything was written and the input closed, or `shared` refused.
  const Fd& finished() const { return finished_; }
  // Waits for that. Whoever has the input closes it before.
  void drain();

 private:
  Fd input_, finished_;
  std::thread thread_;
};

}  // namespace cove::cli
