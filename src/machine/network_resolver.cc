#include "machine/network_resolver.h"

#include <cerrno>
#include <cstdio>
#include <poll.h>
#include <sys/socket.h>

#include "base/error.h"

namespace cove::network {

namespace {

constexpr char kQuestion = '?', kSame = '=', kContent = '+';

std::string readResolverFile(const std::string& path) {
  try {
    Fd file = openFile(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!S_ISREG(statOf(file, path).st_mode)) return {};
    return readAll(file, kMaxResolverFile, path);
  } catch (const Error&) {
    return {};  // absent for a moment while somebody replaces it, or for ever: no name servers
  }
}

// The length, 0 when the other end has closed.
size_t receivePacket(const Fd& socket, char* buffer, size_t size) {
  ssize_t n;
  do n = ::recv(socket.get(), buffer, size, 0);
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno == ECONNRESET) return 0;
  return static_cast<size_t>(check(n, "receive", "from the other half of the network process"));
}

}  // namespace

void serveResolver(const Fd& socket, const std::string& path) {
  std::string sent;
  bool first = true;
  char question;
  while (receivePacket(socket, &question, 1) != 0) {
    std::string content = readResolverFile(path);
    std::string answer = !first && content == sent ? std::string(1, kSame) : kContent + content;
    if (::send(socket.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return;
    sent = std::move(content);
    first = false;
  }
}

ResolverCopy::ResolverCopy(Fd socket, std::string path) : socket_(std::move(socket)), path_(std::move(path)) {
  ask();
  if (!receive(-1)) throw Error("cannot learn the host's name servers: nobody answers");
}

void ResolverCopy::refresh() {
  if (std::chrono::steady_clock::now() - asked_ < kFresh) return;
  while (receive(0)) {  // an answer that was late
  }
  ask();
  receive(100);
}

void ResolverCopy::ask() {
  asked_ = std::chrono::steady_clock::now();
  check(::send(socket_.get(), &kQuestion, 1, MSG_NOSIGNAL), "ask for", "the host's name servers");
}

bool ResolverCopy::receive(int timeoutMilliseconds) {
  pollfd wait{socket_.get(), POLLIN, 0};
  if (::poll(&wait, 1, timeoutMilliseconds) <= 0) return false;
  std::string answer(kMaxResolverFile + 1, '\0');
  answer.resize(receivePacket(socket_, answer.data(), answer.size()));
  if (answer.empty()) throw Error("cannot learn the host's name servers: their process has ended");
  if (answer[0] == kContent) replace(std::string_view(answer).substr(1));
  return true;
}

// A new file each time: libslirp compares device, inode, size and seconds.
void ResolverCopy::replace(std::string_view content) {
  std::string next = path_ + ".new";
  writeAll(openFile(next, O_WRONLY | O_CREAT | O_TRUNC, 0600), content, next);
  check(::rename(next.c_str(), path_.c_str()), "replace", path_);
}

}  // namespace cove::network
