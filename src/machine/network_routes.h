// What the host's kernel would do with a packet to an address, asked of the kernel itself.
//
// No list of addresses could be right: addresses come and go, and whole prefixes can be local (AnyIP). So
// each destination is looked up (RTM_GETROUTE) with the same rules that connect() will meet. Answers are kept
// for kAnswerLife, and thrown away at once when the kernel has announced any change of addresses, routes or
// rules.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/fd.h"

namespace cove::network {

class HostRoutes {
 public:
  static constexpr std::chrono::milliseconds kAnswerLife{1000};
  static constexpr size_t kMaxAnswers = 1024;

  // Uses the caller's network namespace. Afterwards only sends and receives on its two sockets.
  HostRoutes();

  // Notes what the kernel has announced since the last call. Call it before each batch of frames.
  void catchUp();
  // True for everything but plain unicast to another machine: the host's own addresses, broadcast, anycast,
  // blackholes, and whatever the kernel does not explain. An address that cannot be reached now is not local:
  // connect() fails for it, and the guest learns why.
  bool isLocal(std::span<const uint8_t> address);

 private:
  bool ask(std::span<const uint8_t> address);

  struct Answer {
    bool local;
    std::chrono::steady_clock::time_point until;
  };
  Fd questions_, changes_;
  uint32_t sequence_ = 0;
  std::map<std::vector<uint8_t>, Answer> answers_;
};

}  // namespace cove::network
