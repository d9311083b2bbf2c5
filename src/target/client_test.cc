#include "target/client.h"

#include <csignal>
#include <thread>

#include "target/pty.h"
#include "target/terminal.h"
#include "target/testing.h"

namespace cove {
namespace {

class ClientTest : public TargetTest {
 protected:
  Pipe in = makePipe(), out = makePipe(), err = makePipe();

  CommandOptions command(std::vector<std::string> argv) {
    CommandOptions options;
    options.argv = std::move(argv);
    options.fds = {in.read.get(), out.write.get(), err.write.get()};
    return options;
  }
  CommandEnd run(CommandOptions options) {
    return runCommand(port, target(), std::move(options)).wait(io.waitScope);
  }
  static std::string drain(Fd& fd, Fd& writer) {
    writer.reset();
    return readAll(fd, 1 << 30, "a pipe");
  }
};

TEST_F(ClientTest, MapsExitStatuses) {
  EXPECT_EQ(run(command({"sh", "-c", "exit 5"})).status, 5);
  EXPECT_EQ(run(command({"sh", "-c", "kill -9 $$"})).status, 137);
  auto missing = run(command({"no-such-command-here"}));
  EXPECT_EQ(missing.status, 127);
  EXPECT_EQ(missing.message, "no-such-command-here: command not found");
  EXPECT_EQ(run(command({"/etc/passwd"})).status, 126);
  auto slow = command({"sleep", "100"});
  slow.timeoutMs = 50;
  auto ended = run(slow);
  EXPECT_EQ(ended.status, 124);
  EXPECT_EQ(ended.message, "the command was ended: its time of 0.05 s was up");
  auto wrong = command({"true"});
  wrong.user = "no-such-user";
  EXPECT_THROW(run(wrong), kj::Exception);
  auto nowhere = command({"true"});
  nowhere.workdir = "/no/such";
  EXPECT_THROW(run(nowhere), kj::Exception);
}

TEST_F(ClientTest, IsByteExactAndSeparate) {
  std::string data(5'000'000, '\0'), got;
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 7 + i / 256);
  std::thread writer([&] { writeAll(in.write, data, "a pipe"), in.write.reset(); });
  std::thread reader([&] { got = readAll(out.read, 1 << 30, "a pipe"); });
  EXPECT_EQ(run(command({"sh", "-c", "cat; echo problem >&2"})).status, 0);
  writer.join();
  out.write.reset();
  reader.join();
  EXPECT_TRUE(got == data);
  EXPECT_EQ(drain(err.read, err.write), "problem\n");
  for (const Fd* each : {&in.read, &err.read}) EXPECT_EQ(::fcntl(each->get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(ClientTest, AReaderThatIsGoneEndsTheCommandAsItWouldHere) {
  out.read.reset();
  EXPECT_EQ(run(command({"yes"})).status, 128 + SIGPIPE);
}

TEST_F(ClientTest, OutputThatCannotBeWrittenIsAFailure) {
  Fd full = openFile("/dev/full", O_WRONLY);
  auto options = command({"sh", "-c", "echo lost; echo said >&2"});
  options.fds.out = full.get();
  auto end = run(options);
  EXPECT_EQ(end.status, 125);
  EXPECT_EQ(end.message, "cannot write the command's output: No space left on device");
  options.argv = {"true"};
  EXPECT_EQ(run(options).status, 0);
}

TEST_F(ClientTest, AStalledReaderStopsNeitherTimeoutsNorTheOtherStream) {
  auto options = command({"sh", "-c", "yes >&2 & echo here; wait"});
  options.timeoutMs = 300;
  auto running = runCommand(port, target(), std::move(options)).eagerlyEvaluate(nullptr);
  pass(200);
  char buffer[16];
  ASSERT_EQ(::read(out.read.get(), buffer, sizeof buffer), 5);  // stderr is full and nobody reads it
  pass(300);
  std::string flood;
  std::thread reader([&] { flood = readAll(err.read, 1 << 30, "a pipe"); });
  EXPECT_EQ(running.wait(io.waitScope).status, 124);
  err.write.reset();
  reader.join();
  EXPECT_GT(flood.size(), 65536u);
}

TEST_F(ClientTest, ForwardsSignalsAndGivesUpAtTheSecondInterrupt) {
  auto trap = command({"sh", "-c", "trap 'exit 44' USR1; echo up; while :; do sleep 0.01; done"});
  auto running = runCommand(port, target(), trap).eagerlyEvaluate(nullptr);
  char buffer[16];
  pass(100);
  ASSERT_EQ(::read(out.read.get(), buffer, sizeof buffer), 3);
  ::kill(::getpid(), SIGUSR1);
  EXPECT_EQ(running.wait(io.waitScope).status, 44);

  auto stubborn = command({"sh", "-c", "trap '' INT; echo up; sleep 100"});
  auto held = runCommand(port, target(), stubborn).eagerlyEvaluate(nullptr);
  pass(100);
  ::kill(::getpid(), SIGINT);
  pass(100);
  EXPECT_FALSE(held.poll(io.waitScope));
  ::kill(::getpid(), SIGINT);
  EXPECT_EQ(held.wait(io.waitScope).status, 130);
}

TEST_F(ClientTest, ALostConnectionIs125) {
  auto running = runCommand(port, target(), command({"sleep", "100"})).eagerlyEvaluate(nullptr);
  pass(50);
  server.reset();
  auto end = running.wait(io.waitScope);
  EXPECT_EQ(end.status, 125);
  EXPECT_NE(end.message, "");
}

TEST_F(ClientTest, AttachesToWhatAnotherLeft) {
  uint64_t id = 0;
  for (const char* before : {"", "seen by the first"}) {
    SCOPED_TRACE(before);
    Pipe questions = makePipe(), answers = makePipe();
    std::string script = "printf '" + std::string(before) + "'; read x; echo got $x; exit 6";
    auto options = command({"sh", "-c", script});
    options.fds = {questions.read.get(), answers.write.get(), err.write.get()};
    auto first = runCommand(port, target(), options).eagerlyEvaluate(nullptr);
    pass(100);
    first = nullptr;
    auto attached = attachCommand(port, target(), ++id, options.fds);
    writeAll(questions.write, "it\n", "a pipe");
    EXPECT_EQ(attached.wait(io.waitScope).status, 6);
    EXPECT_EQ(drain(answers.read, answers.write), std::string(before) + "got it\n");
  }
}

TEST_F(ClientTest, HasTheTerminalRawAndGivesItBack) {
  Pty pty = openPty(30, 90);
  termios before{}, during{}, after{};
  ::tcgetattr(pty.slave.get(), &before);
  auto options = command({"sh", "-c", "stty size; read x; echo \"<$x>\""});
  options.terminal = true;
  options.fds.in = pty.slave.get();
  auto running = runCommand(port, target(), options).eagerlyEvaluate(nullptr);
  pass(200);
  ::tcgetattr(pty.slave.get(), &during);
  EXPECT_EQ(during.c_lflag & (ICANON | ECHO | ISIG), 0u);
  writeAll(pty.master, "typed\r", "a terminal");
  EXPECT_EQ(running.wait(io.waitScope).status, 0);
  ::tcgetattr(pty.slave.get(), &after);
  EXPECT_EQ(after.c_lflag, before.c_lflag);
  std::string shown = drain(out.read, out.write);
  EXPECT_NE(shown.find("30 90"), std::string::npos) << shown;
  EXPECT_NE(shown.find("<typed>"), std::string::npos) << shown;

  auto dropped = runCommand(port, target(), options).eagerlyEvaluate(nullptr);
  pass(50);
  dropped = nullptr;
  ::tcgetattr(pty.slave.get(), &after);
  EXPECT_EQ(after.c_lflag, before.c_lflag);
}

}  // namespace
}  // namespace cove
