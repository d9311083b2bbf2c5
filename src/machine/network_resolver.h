// The host's name servers, for a process that cannot see the host's files.
//
// libslirp reads /etc/resolv.conf when the guest asks a name; in the contained child that file is a copy.
// Before each use, at most once a second, the child asks a small process outside for the current one. Nobody
// has to watch the host's file, and it may be replaced, renamed over, or be a symlink to anywhere.
//
// On a SOCK_SEQPACKET pair: a question is one byte; the answer is kSame, or kContent and the file.
#pragma once
#include <chrono>
#include <string>

#include "base/fd.h"

namespace cove::network {

inline constexpr size_t kMaxResolverFile = 60 << 10;

// Answers until the other end closes. An unreadable or oversized file counts as empty.
void serveResolver(const Fd& socket, const std::string& path = "/etc/resolv.conf");

class ResolverCopy {
 public:
  static constexpr std::chrono::milliseconds kFresh{1000};

  // Waits for the first answer, writes the copy at `path`.
  ResolverCopy(Fd socket, std::string path);
  // Brings the copy up to date. Waits at most 100 ms for an answer; without one the copy stays as it is.
  void refresh();

 private:
  void ask();
  bool receive(int timeoutMilliseconds);
  void replace(std::string_view content);

  Fd socket_;
  std::string path_;
  std::chrono::steady_clock::time_point asked_;
};

}  // namespace cove::network
