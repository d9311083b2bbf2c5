// What a maintainer script could do that wants more than to be installed: this program takes the place of
// `cove-image assemble` in the real sandbox, as root of it, and tries.
#include "image_builder/sandbox.h"

#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "image/request.h"
#include "image_builder/seal.h"

namespace cove::image {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kMemory = 16 << 20;

// --- inside
// --------------------------------------------------------------------------------------------------

bool opens(const std::string& path, int flags) {
  Fd file(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  return static_cast<bool>(file);
}

bool connects(const std::string& name, size_t skip) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), address.sun_path + skip);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + skip + name.size());
  return socket && ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0;
}

// Bytes until the file system is full; `limit` when it never is.
uint64_t fill(const std::string& path, uint64_t limit) {
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  std::string block(1 << 20, 'x');
  uint64_t written = 0;
  while (written < limit) {
    ssize_t n = ::write(file.get(), block.data(), block.size());
    if (n <= 0) break;
    written += static_cast<uint64_t>(n);
  }
  ::unlink(path.c_str());
  return written;
}

// Holds the progress pipe open for as long as it lives.
void leaveProcessBehind() {
  if (::fork() != 0) return;
  ::setsid();
  if (::fork() != 0) ::_exit(0);
  ::signal(SIGTERM, SIG_IGN);
  ::sleep(600);
  ::_exit(0);
}

[[noreturn]] void attack() {
  auto request = nlohmann::json::parse(readAll(Fd(kRequestFd), 1 << 16, "the request"));
  std::string secret = request.at("secret"), outside = request.at("outside"), home = request.at("home");
  std::string socket = request.at("socket"), abstract = request.at("abstract");
  nlohmann::json report;
  report["the user's file"] = opens(secret, O_RDONLY);
  report["the user's home"] = opens(home, O_RDONLY | O_DIRECTORY);
  report["the password file"] = opens("/etc/shadow", O_RDONLY);
  report["a file outside"] = opens(outside + "/stray", O_WRONLY | O_CREAT);
  // Its own mounts it may change (docs/security.md); the files below are still not its own.
  ::mount(nullptr, "/usr", nullptr, MS_REMOUNT | MS_BIND, nullptr);
  ::mount(nullptr, "/lib", nullptr, MS_REMOUNT | MS_BIND, nullptr);
  report["a program of the host"] = opens("/usr/bin/cove-stray", O_WRONLY | O_CREAT);
  report["a library of the host"] = opens("/lib/cove-stray", O_WRONLY | O_CREAT);
  report["a disk of the host"] = ::mknod("/tmp/disk", S_IFBLK | 0600, 8 << 8) == 0;
  report["a process of the host"] = ::kill(request.at("pid"), SIGTERM) == 0;
  report["a unix socket"] = connects(socket, 0);
  report["an abstract socket"] = connects(abstract, 1);
  report["memory without end"] = fill("/tmp/full", 16 * kMemory) >= 4 * kMemory;
  leaveProcessBehind();
  std::ofstream(std::string(kOut) + "/report") << report.dump();
  ::_exit(0);  // no sanitizer's look for leaks, for which it would have to trace itself
}

// --- outside
// -------------------------------------------------------------------------------------------------

class SandboxTest : public testing::Test {
 protected:
  void SetUp() override {
    char base[] = "/tmp/cove-sandbox-XXXXXX";
    dir = ::mkdtemp(base);
    for (const char* each : {"staging", "outside"}) fs::create_directory(dir / each);
    ::chmod((dir / "outside").c_str(), 0777);
    std::ofstream(dir / "secret") << "secret";
    staging = openFile(dir / "staging", O_RDONLY | O_DIRECTORY);
  }
  void TearDown() override { fs::remove_all(dir); }

  fs::path dir;
  Fd staging;
};

Fd listenOn(const std::string& name, size_t skip) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), address.sun_path + skip);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "make", "a socket");
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + skip + name.size());
  check(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size), "bind", name);
  check(::listen(socket.get(), 5), "listen on", name);
  return socket;
}

TEST_F(SandboxTest, WhatRunsInItReachesNothingOfTheHost) {
  IdMap ids = subIdMap();
  check(::fchown(staging.get(), ids.uid, ids.gid), "hand over", "the staging directory");
  std::string socket = dir / "socket", abstract = str("cove-sandbox-", ::getpid());
  Fd byPath = listenOn(socket, 0), byName = listenOn(abstract, 1);
  ::chmod(socket.c_str(), 0777);
  const char* home = std::getenv("HOME");
  std::string request = nlohmann::json{{"secret", dir / "secret"},
                                       {"outside", dir / "outside"},
                                       {"home", home == nullptr ? "/root" : home},
                                       {"socket", socket},
                                       {"abstract", abstract},
                                       {"pid", ::getpid()}}
                            .dump();
  std::string_view parts[] = {request};
  Recipe recipe = recipeFor(parseOs("debian:12"));
  recipe.memoryBytes = kMemory;
  Pipe progress = makePipe();
  Child sandbox = startSandbox(recipe, ids, makeSealedMemfd("request", parts), staging,
                               std::move(progress.write), Fd(::dup(STDERR_FILENO)));
  Ended ended = sandbox.wait();
  ASSERT_TRUE(ended.ok()) << ended.describe();
  pollfd end{progress.read.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&end, 1, 5000), 1) << "a process of it is left";

  Fd file = openBeneath(staging, "report", O_RDONLY);
  auto report = nlohmann::json::parse(readAll(file, 1 << 16, "the report"));
  for (const auto& [what, reached] : report.items()) {
    // Its /root is a directory of its own.
    if (what == "the user's home" && std::string_view(home == nullptr ? "/root" : home) == "/root") continue;
    EXPECT_FALSE(reached.get<bool>()) << what;
  }
  EXPECT_EQ(report.size(), 11U);
  EXPECT_TRUE(fs::is_empty(dir / "outside"));
  EXPECT_FALSE(fs::exists("/usr/bin/cove-stray"));
}

TEST_F(SandboxTest, WhatItLeftIsNoImageUnlessItIsPlainFiles) {
  auto sealing = [&] {
    try {
      seal(recipeFor(parseOs("debian:12")), staging);
      return std::string();
    } catch (const Error& e) {
      return e.message();
    }
  };
  fs::path report = dir / "staging/assembled.json";
  EXPECT_NE(sealing(), "");  // nothing
  fs::create_symlink(dir / "secret", report);
  EXPECT_NE(sealing(), "");
  EXPECT_NE(fs::status(dir / "secret").permissions(), fs::perms(0400)) << "it was taken over";
  fs::remove(report);
  fs::create_hard_link(dir / "secret", report);
  EXPECT_NE(sealing().find("it is no plain file"), std::string::npos);
  fs::remove(report);
  ASSERT_EQ(::mkfifo(report.c_str(), 0666), 0);
  EXPECT_NE(sealing().find("it is no plain file"), std::string::npos);
  fs::remove(report);
  std::ofstream(report) << R"({"kernelRelease":"../../etc","packages":[]})";
  EXPECT_NE(sealing().find("cannot use the kernel release"), std::string::npos);
  fs::remove(report);
  std::ofstream(report) << Assembled{"6.1.0-1-cloud-amd64", {}}.encode();
  fs::create_symlink(dir / "secret", dir / "staging/root.img");
  EXPECT_NE(sealing(), "");
}

}  // namespace
}  // namespace cove::image

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "assemble") == 0) cove::image::attack();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
