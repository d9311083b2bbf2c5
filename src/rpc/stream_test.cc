#include "rpc/stream.h"

#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/co.h"
#include "rpc/connection.h"
#include "rpc/limits.h"

namespace cove {
namespace {

std::string drain(const Fd& fd) {
  std::string data;
  char buffer[65536];
  for (ssize_t n; (n = ::read(fd.get(), buffer, sizeof buffer)) > 0;) data.append(buffer, n);
  return data;
}
std::string pattern(size_t size) {
  std::string data(size, '\0');
  for (size_t i = 0; i < size; ++i) data[i] = static_cast<char>(i * 31 + i / 251);
  return data;
}

class StreamTest : public ::testing::Test {
 protected:
  ~StreamTest() noexcept override {}
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::UnixEventPort& port = io.unixEventPort;
  Pipe source = makePipe(O_NONBLOCK);
  Pipe target = makePipe(O_NONBLOCK);
  void turn() { port.getTimer().afterDelay(2 * kj::MILLISECONDS).wait(io.waitScope); }
  kj::Promise<void> write(rpc::ByteSink::Client& sink, uint64_t offset, kj::StringPtr text) {
    auto request = sink.writeRequest();
    request.setOffset(offset);
    request.setData(text.asBytes());
    return request.send().ignoreResult();
  }
};

TEST_F(StreamTest, PumpsByteExactThroughAConnection) {
  std::string data = pattern(10'000'000), got;
  auto [a, b] = makeSocketPair(SOCK_STREAM);
  Connection serving(*io.lowLevelProvider, std::move(a), Side::kServer,
                     makeFdSink(port, std::move(target.write)));
  Connection calling(*io.lowLevelProvider, std::move(b), Side::kClient);
  auto done =
      sendAll(port, std::move(source.read), calling.bootstrap<rpc::ByteSink>()).eagerlyEvaluate(nullptr);
  size_t written = 0;
  while (!done.poll(io.waitScope)) {
    if (written < data.size()) {
      ssize_t n =
          ::write(source.write.get(), data.data() + written, std::min<size_t>(50'000, data.size() - written));
      if (n > 0) written += n;
    } else {
      source.write.reset();
    }
    got += drain(target.read);
    port.poll();
  }
  done.wait(io.waitScope);
  got += drain(target.read);
  EXPECT_TRUE(got == data);
}

TEST_F(StreamTest, AStalledReceiverHoldsAWindowAndNoMore) {
  auto receiver = kj::refcounted<StreamReceiver>(port, std::move(target.write));
  StreamSender sender(port, std::move(source.read));
  sender.attach(receiver->makeSink());
  std::string data = pattern(1'000'000);
  size_t written = 0;
  for (int i = 0; i < 200; ++i) {
    ssize_t n = ::write(source.write.get(), data.data(), data.size());
    if (n > 0) written += n;
    turn();
  }
  EXPECT_LT(written, kStreamWindow + 2 * 256 * 1024 + 65536);  // two pipes, enlarged
  EXPECT_GE(written, kStreamWindow);
  EXPECT_LE(receiver->offset(), 256u * 1024);
}

TEST_F(StreamTest, ALostSinkIsReplacedWithoutLossOrRepetition) {
  std::string data = pattern(3'000'000), got;
  auto receiver = kj::refcounted<StreamReceiver>(port, std::move(target.write));
  StreamSender sender(port, std::move(source.read));
  size_t written = 0;
  for (int round = 0; got.size() < data.size(); ++round) {
    ASSERT_LT(round, 10'000);
    if (round % 7 == 0) sender.attach(receiver->makeSink());
    if (round % 7 == 5) sender.detach();
    ssize_t n =
        ::write(source.write.get(), data.data() + written, std::min<size_t>(40'000, data.size() - written));
    if (n > 0) written += n;
    turn();
    if (round % 3 == 0) got += drain(target.read);
  }
  EXPECT_TRUE(got == data);
}

TEST_F(StreamTest, AReaderThatClosesReachesTheWriter) {
  StreamSender sender(port, std::move(source.read));
  sender.attach(makeFdSink(port, std::move(target.write)));
  target.read.reset();
  ASSERT_EQ(::write(source.write.get(), "x", 1), 1);
  sender.whenSent().wait(io.waitScope);
  EXPECT_TRUE(sender.refused());
  turn();
  EXPECT_EQ(::write(source.write.get(), "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
}

TEST_F(StreamTest, TheGraceEndsWhatABackgroundProcessHoldsOpen) {
  StreamSender sender(port, std::move(source.read));
  sender.attach(makeFdSink(port, std::move(target.write)));
  ASSERT_EQ(::write(source.write.get(), "rest", 4), 4);
  sender.endAfter(10 * kj::MILLISECONDS);
  sender.whenAcknowledged().wait(io.waitScope);
  EXPECT_EQ(drain(target.read), "rest");
}

TEST_F(StreamTest, ASenderThatBreaksTheRulesIsRefused) {
  auto receiver = kj::refcounted<StreamReceiver>(port, std::move(target.write));
  auto sink = receiver->makeSink();
  write(sink, 0, "hello").wait(io.waitScope);
  write(sink, 2, "llo!").wait(io.waitScope);
  EXPECT_EQ(drain(target.read), "hello!");
  EXPECT_THROW(write(sink, 7, "gap").wait(io.waitScope), kj::Exception);
  EXPECT_THROW(write(sink, 6, kj::str(kj::repeat('x', kStreamChunk + 1))).wait(io.waitScope), kj::Exception);
  kj::Vector<kj::Promise<void>> flood;
  auto chunk = kj::str(kj::repeat('x', kStreamChunk));
  for (uint64_t i = 0; i < 20; ++i)
    flood.add(write(sink, 6 + i * kStreamChunk, chunk).eagerlyEvaluate(nullptr));
  EXPECT_THROW(flood[19].wait(io.waitScope), kj::Exception);
  auto end = sink.endRequest();
  end.setSize(1);
  EXPECT_THROW(end.send().ignoreResult().wait(io.waitScope), kj::Exception);
  auto other = receiver->makeSink();
  EXPECT_THROW(write(sink, receiver->offset(), "x").wait(io.waitScope), kj::Exception);
}

}  // namespace
}  // namespace cove
