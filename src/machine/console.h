// The serial console: logged (serial.log, bounded), remembered for those who come later, shown to those who
// are attached, and typed into.
#pragma once
#include <kj/async-io.h>
#include <list>
#include <string>

#include "machine/rotated_file.h"
#include "rpc/target.capnp.h"

namespace cove {

class Console {
 public:
  Console(kj::Own<kj::AsyncIoStream> stream, const Fd& instanceDir);
  ~Console() noexcept(false);

  // Reads until the machine closes its side.
  kj::Promise<void> run();
  // Sends what is remembered and what follows to `output`. A client that leaves more than its window
  // unacknowledged is dropped: the guest does not wait for it. The result takes what is to be typed.
  rpc::ByteSink::Client attach(rpc::ByteSink::Client output);
  // The kernel's last words since forgetPanic(), escaped: what follows "Kernel panic"; "" when it did not.
  std::string panic() const;
  void forgetPanic() { sincePanicReset_.clear(); }

 private:
  class Viewer;
  class Input;
  void take(std::string_view data);

  kj::Own<kj::AsyncIoStream> stream_;
  RotatedFile log_;
  std::string remembered_;       // the last kRemembered bytes
  std::string sincePanicReset_;  // the same, of this boot
  std::list<kj::Own<Viewer>> viewers_;
  kj::Promise<void> typing_ = kj::READY_NOW;
  size_t typed_ = 0;  // bytes on their way to the guest
};

}  // namespace cove
