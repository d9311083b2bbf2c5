// The first process of a bare machine that is saved, and that tells in each of its clones what random numbers
// it gets.
//
// It says REACHED-DRAW on the console when it can be saved. A line "draw" at the port is answered with three:
// bytes of getrandom(2) and of /dev/urandom in hex, and a UUID of the kernel's. "draw HEX" gives the kernel
// that seed before, by the function that the agent has for it.
#include <array>
#include <cstdio>
#include <exception>
#include <linux/random.h>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>
#include <vector>

#include "agent/reseed.h"
#include "bare.h"
#include "base/error.h"

namespace {

constexpr size_t kDrawn = 16;     // bytes
constexpr size_t kUuidLine = 37;  // bytes

// Open before the machine is saved: so that the clones do nothing but draw.
struct Sources {
  cove::Fd urandom = cove::openFile("/dev/urandom", O_RDWR);
  cove::Fd uuid = cove::openFile("/proc/sys/kernel/random/uuid", O_RDONLY);
};

std::string hexOf(const std::array<unsigned char, kDrawn>& bytes) {
  std::string text;
  for (unsigned char byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    text += digits;
  }
  return text;
}

std::vector<std::byte> bytesOf(const std::string& hex) {
  std::vector<std::byte> bytes;
  for (size_t at = 0; at + 1 < hex.size(); at += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(at, 2), nullptr, 16)));
  return bytes;
}

std::string draw(const Sources& sources) {
  std::array<unsigned char, kDrawn> bytes;
  bare::require(::getrandom(bytes.data(), bytes.size(), 0) == kDrawn, "draw by getrandom");
  std::string text = hexOf(bytes) + "\n";
  bare::require(::read(sources.urandom.get(), bytes.data(), bytes.size()) == kDrawn, "read /dev/urandom");
  text += hexOf(bytes) + "\n";
  char uuid[kUuidLine];
  bare::require(::pread(sources.uuid.get(), uuid, sizeof uuid, 0) == sizeof uuid, "read a UUID");
  return text.append(uuid, sizeof uuid);
}

std::string readLine(int port) {
  std::string line;
  for (char byte; line.empty() || line.back() != '\n';) {
    if (::read(port, &byte, 1) == 1)
      line += byte;
    else
      ::usleep(1000);  // the host's side is away
  }
  line.pop_back();
  return line;
}

// What is wrong with a seed is the answer too: who waits for it learns that nothing else will come.
std::string answer(const std::string& line, const Sources& sources) try {
  if (size_t space = line.find(' '); space != std::string::npos)
    cove::agent::reseed(sources.urandom, bytesOf(line.substr(space + 1)));
  return draw(sources);
} catch (const std::exception& e) {
  return std::string(e.what()) + "\n\n\n";
}

// The kernel has a random generator for each processor.
void stayOnOneProcessor() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(0, &set);
  bare::require(::sched_setaffinity(0, sizeof set, &set) == 0, "stay on a processor");
}

void serve() {
  stayOnOneProcessor();
  bare::prepare();
  int port = bare::openPort();
  Sources sources;
  draw(sources);
  // The kernel mixes in by itself what it has gathered, the more often the younger it is: not between here
  // and the clones' draw.
  bare::require(::ioctl(sources.urandom.get(), RNDRESEEDCRNG) == 0, "reseed");
  draw(sources);
  bare::say("REACHED-DRAW");
  for (;;) {
    std::string text = answer(readLine(port), sources);
    bare::require(::write(port, text.data(), text.size()) > 0, "answer");
  }
}

}  // namespace

int main() {
  try {
    serve();
  } catch (const std::exception& e) {
    bare::say(std::string("BARE-FAILED: ") + e.what());
  }
  return 1;
}
