// A Target that is an attacker: a guest, seen from the user's own process.
#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"
#include "rpc/limits.h"
#include "rpc/stream.h"
#include "target/copy.h"
#include "target/standard_io.h"
#include "target/testing.h"

namespace cove {
namespace {

class EvilTarget final : public rpc::Target::Server {
 public:
  using Deed = std::function<kj::Promise<void>(rpc::TreeSink::Client)>;
  explicit EvilTarget(Deed deed) : deed_(std::move(deed)) {}
  kj::Promise<void> readTree(ReadTreeContext context) override {
    return deed_(context.getParams().getSink());
  }

 private:
  Deed deed_;
};

class HostileTest : public TargetTest {
 protected:
  // What the copy of a guest's /thing to `dir`/got ended with, "" for well.
  std::string copyFrom(EvilTarget::Deed deed) {
    try {
      copyTree(kj::heap<EvilTarget>(std::move(deed)), "/thing", served, dir / "got", {}).wait(io.waitScope);
      return "";
    } catch (...) {
      return currentError().message();
    }
  }
  static kj::Promise<void> sendFile(rpc::TreeSink::Client sink, const std::string& path, uint16_t mode) {
    auto request = sink.fileRequest();
    request.setPath(path.c_str());
    request.initAttributes().setMode(mode);
    auto end = request.send().getContent().endRequest();
    end.setSize(0);
    return end.send().ignoreResult();
  }
};

TEST_F(HostileTest, SuccessIsNotBelievedBeforeTheReceiverHasAll) {
  EXPECT_NE(copyFrom([](rpc::TreeSink::Client sink) { return sendFile(sink, "", 0644); }), "");
  EXPECT_NE(copyFrom([](rpc::TreeSink::Client) { return kj::READY_NOW; }), "");
}

TEST_F(HostileTest, ModesGiveNobodyMoreThanTheUmask) {
  mode_t before = ::umask(027);
  std::string error = copyFrom([](rpc::TreeSink::Client sink) {
    auto root = sink.directoryRequest();
    root.setPath("");
    root.initAttributes().setMode(07777);
    return root.send()
        .ignoreResult()
        .then([sink]() mutable { return sendFile(sink, "tool", 07777); })
        .then([sink]() mutable { return sink.doneRequest().send().ignoreResult(); });
  });
  ::umask(before);
  EXPECT_EQ(error, "");
  for (const char* name : {"got", "got/tool"}) {
    struct stat st {};
    ASSERT_EQ(::stat((dir / name).c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0750U) << name;
  }
}

TEST_F(HostileTest, NothingIsWrittenThroughItsOwnSymlink) {
  auto link = [](rpc::TreeSink::Client sink, kj::StringPtr path) {
    auto request = sink.symlinkRequest();
    request.setPath(path);
    request.setTarget("/tmp");
    request.initAttributes();
    return request.send().ignoreResult();
  };
  std::string stray = str("cove-stray-", ::getpid());
  EXPECT_NE(copyFrom([&](rpc::TreeSink::Client sink) {
              return link(sink, "").then([sink, &stray]() mutable { return sendFile(sink, stray, 0644); });
            }),
            "");
  EXPECT_NE(copyFrom([&](rpc::TreeSink::Client sink) { return link(sink, ""); }), "");
  EXPECT_FALSE(std::filesystem::is_symlink(dir / "got"));  // where the next copy would go
  EXPECT_NE(copyFrom([&](rpc::TreeSink::Client sink) {
              auto root = sink.directoryRequest();
              root.setPath("");
              root.initAttributes().setMode(0755);
              return root.send()
                  .ignoreResult()
                  .then([sink, &link]() mutable { return link(sink, "out"); })
                  .then([sink, &stray]() mutable { return sendFile(sink, "out/" + stray, 0644); });
            }),
            "");
  EXPECT_FALSE(std::filesystem::exists("/tmp/" + stray));
}

TEST_F(HostileTest, WhatItSaysItLeftOutIsBounded) {
  auto deed = [](rpc::TreeSink::Client sink) -> kj::Promise<void> {
    auto promises = kj::heapArrayBuilder<kj::Promise<void>>(1000);
    for (int i = 0; i < 1000; ++i) {
      auto request = sink.leftOutRequest();
      request.setPath(std::string(10'000, 'x').c_str());
      promises.add(request.send().ignoreResult());
    }
    return kj::joinPromises(promises.finish())
        .then([sink]() mutable { return sendFile(sink, "", 0644); })
        .then([sink]() mutable { return sink.doneRequest().send().ignoreResult(); });
  };
  LeftOut leftOut =
      copyTree(kj::heap<EvilTarget>(deed), "/thing", served, dir / "got", {}).wait(io.waitScope);
  EXPECT_EQ(leftOut.count, 1000U);
  EXPECT_EQ(leftOut.first.size(), LeftOut::kNamed);
  EXPECT_EQ(leftOut.first[0].size(), kPathBytes);
}

// Writes of nothing use up no window, but memory.
TEST_F(HostileTest, FloodsOfEmptyWritesAreRefused) {
  Pipe pipe = makePipe();
  int size = ::fcntl(pipe.write.get(), F_SETPIPE_SZ, 4096);
  std::string fill(static_cast<size_t>(size), 'x');
  writeAll(pipe.write, fill, "pipe");
  auto standard = makeStandardOutput(port, pipe.write.get());
  rpc::ByteSink::Client sinks[] = {standard.sink, makeFdSink(port, pipe.write.duplicate())};
  for (rpc::ByteSink::Client& sink : sinks) {
    std::vector<kj::Promise<void>> writes;
    size_t refused = 0;
    for (size_t i = 0; i < 4 * kStreamWrites; ++i) {
      auto request = sink.writeRequest();
      request.setOffset(i);
      request.setData(kj::StringPtr("y").asBytes());
      writes.push_back(request.send()
                           .ignoreResult()
                           .then([] {}, [&](kj::Exception&&) { ++refused; })
                           .eagerlyEvaluate(nullptr));
    }
    pass(50);
    EXPECT_GE(refused, 2 * kStreamWrites);
  }
  pipe.read.reset();
}

}  // namespace
}  // namespace cove
