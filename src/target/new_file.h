// A file that appears under its name only when it is whole.
#pragma once
#include <functional>
#include <string>

#include "base/fd.h"
#include "rpc/target.capnp.h"
#include "target/attributes.h"
#include "target/paths.h"

namespace cove {

class NewFile {
 public:
  // Under a temporary name in its directory, mode 0600 until publish(). Errors call it `shown`. `done`, if
  // given, runs when it is gone.
  NewFile(Place place, std::string shown, WantedAttributes attributes, bool flush,
          std::function<void()> done = nullptr);
  ~NewFile();  // removes it unless it was published
  // Blocks of zeros become holes.
  void write(uint64_t offset, std::string_view data);
  void publish(uint64_t size);

 private:
  Place place_;
  std::string shown_, temporary_;
  WantedAttributes attributes_;
  bool flush_, published_ = false;
  std::function<void()> done_;
  Fd file_;
};

// A sink that fills the file, and publishes it at its end.
rpc::ByteSink::Client makeFileSink(kj::Own<NewFile> file);

}  // namespace cove
