#include <csignal>

#include "base/text.h"
#include "rpc/limits.h"
#include "target/testing.h"

namespace cove {
namespace {

class CommandTest : public TargetTest {
 protected:
  struct Running {
    rpc::Process::Client process;
    rpc::ByteSink::Client stdin;
    uint64_t id;
    std::shared_ptr<Collected> out, err;
  };
  using Change = std::function<void(rpc::Command::Builder)>;

  Running start(std::vector<std::string> argv, Change change = nullptr) {
    auto out = std::make_shared<Collected>(), err = std::make_shared<Collected>();
    auto request = target().execRequest();
    auto list = request.initCommand().initArgv(argv.size());
    for (size_t i = 0; i < argv.size(); ++i) list.set(i, argv[i].c_str());
    if (change) change(request.getCommand());
    request.setStdout(kj::heap<CollectingSink>(out));
    request.setStderr(kj::heap<CollectingSink>(err));
    auto response = request.send().wait(io.waitScope);
    return {response.getProcess(), response.getStdin(), response.getId(), out, err};
  }
  std::string wait(rpc::Process::Client process) {
    auto response = process.waitRequest().send().wait(io.waitScope);
    auto status = response.getStatus();
    switch (status.which()) {
      case rpc::ExitStatus::CODE:
        return "code " + std::to_string(status.getCode());
      case rpc::ExitStatus::SIGNAL:
        return "signal " + std::to_string(status.getSignal());
      case rpc::ExitStatus::TIMED_OUT:
        return "timed out";
      case rpc::ExitStatus::LOST:
        return "lost";
      case rpc::ExitStatus::NOT_STARTED:
        return status.getNotStarted().getFound() ? "126" : "127";
    }
    return "?";
  }
  std::string output(const std::string& script, Change change = nullptr) {
    auto running = start({"sh", "-c", script}, change);
    EXPECT_EQ(wait(running.process), "code 0") << running.err->data;
    return running.out->data;
  }
  void type(Running& running, uint64_t& offset, const std::string& text) {
    auto request = running.stdin.writeRequest();
    request.setOffset(offset);
    request.setData(kj::arrayPtr(reinterpret_cast<const kj::byte*>(text.data()), text.size()));
    request.send().ignoreResult().wait(io.waitScope);
    offset += text.size();
  }
  void signal(rpc::Process::Client process, int number) {
    auto request = process.signalRequest();
    request.setNumber(number);
    request.send().ignoreResult().wait(io.waitScope);
  }
  size_t listed() { return target().processesRequest().send().wait(io.waitScope).getProcesses().size(); }
};

TEST_F(CommandTest, SeparatesStreamsAndPassesTheStatus) {
  auto running = start({"sh", "-c", "echo out; echo err >&2; exit 7"});
  EXPECT_EQ(wait(running.process), "code 7");
  EXPECT_EQ(running.out->data, "out\n");
  EXPECT_EQ(running.err->data, "err\n");
  EXPECT_TRUE(running.out->ended && running.err->ended);
  EXPECT_EQ(listed(), 0u);
}

TEST_F(CommandTest, HasALoginsEnvironmentAndNothingElse) {
  std::string text = output("env; pwd", [](rpc::Command::Builder command) {
    auto list = command.initEnvironment(2);
    list.set(0, "A=b=c");
    list.set(1, "LANG=x");
  });
  for (const char* line :
       {"HOME=/", "USER=", "LOGNAME=", "SHELL=/", "PATH=/usr/local/", "A=b=c\n", "LANG=x\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << " in " << text;
  EXPECT_EQ(text.find("LANG=C"), std::string::npos);
  EXPECT_EQ(text.find("TERM="), std::string::npos);
  ::setenv("COVE_TEST_LEAK", "1", 1);
  EXPECT_EQ(output("env").find("COVE_TEST_LEAK"), std::string::npos);
}

TEST_F(CommandTest, GetsNoDescriptorsSignalsOrSessionOfTheServer) {
  EXPECT_EQ(output("ls /proc/self/fd | wc -l"), "4\n");  // 0, 1, 2 and the directory
  std::string masks = output("grep -E 'Sig(Blk|Ign)' /proc/self/status");
  EXPECT_EQ(masks, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  EXPECT_EQ(output("umask"), "0022\n");
  EXPECT_NE(output("cut -d' ' -f6 /proc/self/stat"), str(::getsid(0)) + "\n");
}

TEST_F(CommandTest, SaysWhyItDidNotStart) {
  EXPECT_EQ(wait(start({"no-such-command-here"}).process), "127");
  EXPECT_EQ(wait(start({"/etc/passwd"}).process), "126");
  EXPECT_EQ(wait(start({"/"}).process), "126");
  EXPECT_THROW(start({"true"}, [](rpc::Command::Builder c) { c.setWorkdir("/no/such"); }), kj::Exception);
  EXPECT_THROW(start({"true"}, [](rpc::Command::Builder c) { c.setUser("no-such-user"); }), kj::Exception);
  EXPECT_THROW(start({"true"}, [](rpc::Command::Builder c) { c.setWorkdir("relative"); }), kj::Exception);
  EXPECT_THROW(start({"true"}, [](rpc::Command::Builder c) { c.initEnvironment(1).set(0, "=x"); }),
               kj::Exception);
  EXPECT_THROW(start({"true", std::string(1'100'000, 'x')}), kj::Exception);
  auto running = start({"no-such-command-here"});
  EXPECT_EQ(wait(running.process), "127");
  EXPECT_TRUE(until([&] { return running.out->ended && running.err->ended; }));
}

TEST_F(CommandTest, RunsAScriptWithoutInterpreterLine) {
  write("script", "echo \"$1\"\n");
  std::filesystem::permissions(dir / "script", std::filesystem::perms::owner_all);
  auto running = start({dir / "script", "hello"});
  EXPECT_EQ(wait(running.process), "code 0");
  EXPECT_EQ(running.out->data, "hello\n");
}

TEST_F(CommandTest, BecomesItsUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root changes users";
  std::string text = output("id -u; id -g; id -G; echo $HOME $USER; cat /etc/shadow 2>&1 | head -c 4",
                            [](rpc::Command::Builder c) { c.setUser("nobody"); });
  EXPECT_EQ(text, "65534\n65534\n65534\n/nonexistent nobody\ncat:");
}

TEST_F(CommandTest, TakesSignalsForItsWholeGroup) {
  auto running = start({"sh", "-c", "sleep 100 & sleep 100 & echo ready; wait"});
  ASSERT_TRUE(until([&] { return running.out->data == "ready\n"; }));
  signal(running.process, SIGTERM);
  EXPECT_EQ(wait(running.process), "signal 15");
  EXPECT_TRUE(running.out->ended);
}

TEST_F(CommandTest, EndsWhenItsTimeIsUp) {
  auto running = start({"sleep", "100"}, [](rpc::Command::Builder c) { c.setTimeoutMs(50); });
  EXPECT_EQ(wait(running.process), "timed out");
}

TEST_F(CommandTest, IsNotHeldByWhatItLeavesBehind) {
  auto running = start({"sh", "-c", "sleep 3 & echo done"});
  auto before = port.getTimer().now();
  EXPECT_EQ(wait(running.process), "code 0");
  EXPECT_LT((port.getTimer().now() - before) / kj::MILLISECONDS, 2000);
  EXPECT_EQ(running.out->data, "done\n");
}

TEST_F(CommandTest, AStalledReaderStopsOnlyItsOwnCommand) {
  auto stalled = start({"yes"});
  stalled.out->stalled = true;
  // The sender stops where what is left of its window is not worth a read.
  ASSERT_TRUE(until([&] { return stalled.out->data.size() >= kStreamWindow - kStreamChunk; }));
  pass(20);
  EXPECT_LE(stalled.out->data.size(), kStreamWindow + kStreamChunk);
  EXPECT_EQ(output("head -c 3000000 /dev/zero").size(), 3'000'000u);
  signal(stalled.process, SIGKILL);
  stalled.out->resume();
  EXPECT_EQ(wait(stalled.process), "signal 9");
}

TEST_F(CommandTest, LosesNothingWhenItsClientIsLost) {
  auto first =
      start({"sh", "-c", "head -c 200 /dev/zero | tr '\\0' a; read x; seq 1 300000; echo \"$x\"; exit 3"});
  ASSERT_TRUE(until([&] { return first.out->data.size() == 200; }));
  uint64_t offset = 0;
  type(first, offset, "wo");
  connect();
  ASSERT_TRUE(until([&] {
    auto list = target().processesRequest().send().wait(io.waitScope);
    return list.getProcesses().size() == 1 && !list.getProcesses()[0].getAttached();
  }));
  Collected collected;
  auto out = std::make_shared<Collected>(), err = std::make_shared<Collected>();
  out->data = first.out->data;  // what was acknowledged does not come again
  auto request = target().attachRequest();
  request.setId(first.id);
  request.setStdout(kj::heap<CollectingSink>(out));
  request.setStderr(kj::heap<CollectingSink>(err));
  auto attached = request.send().wait(io.waitScope);
  EXPECT_EQ(attached.getStdinOffset(), 2u);
  Running second{attached.getProcess(), attached.getStdin(), first.id, out, err};
  type(second, offset, "rd\n");
  EXPECT_EQ(wait(second.process), "code 3");
  std::string expected(200, 'a');
  for (int i = 1; i <= 300000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_TRUE(out->data == expected + "word\n");
  EXPECT_EQ(listed(), 0u);
}

TEST_F(CommandTest, KeepsTheStatusThatNobodyFetched) {
  auto first = start({"sh", "-c", "echo x; exit 9"});
  first.out->stalled = true;
  connect();
  ASSERT_TRUE(until([&] {
    auto list = target().processesRequest().send().wait(io.waitScope);
    return list.getProcesses().size() == 1 && list.getProcesses()[0].getFinished();
  }));
  auto out = std::make_shared<Collected>();
  auto request = target().attachRequest();
  request.setId(first.id);
  request.setStdout(kj::heap<CollectingSink>(out));
  request.setStderr(kj::heap<CollectingSink>(std::make_shared<Collected>()));
  auto attached = request.send().wait(io.waitScope);
  EXPECT_EQ(wait(attached.getProcess()), "code 9");
  for (int i = 0; i < 50; ++i) start({"true"});
  connect();
  ASSERT_TRUE(until([&] { return start({"true"}).id > 0 && listed() <= 34; }));
}

TEST_F(CommandTest, AnotherClientTakesOver) {
  auto first = start({"cat"});
  auto waiting = first.process.waitRequest().send();
  auto request = target().attachRequest();
  request.setId(first.id);
  auto out = std::make_shared<Collected>();
  request.setStdout(kj::heap<CollectingSink>(out));
  request.setStderr(kj::heap<CollectingSink>(std::make_shared<Collected>()));
  auto attached = request.send().wait(io.waitScope);
  EXPECT_TRUE(waiting.wait(io.waitScope).getStatus().isLost());
  uint64_t offset = 0;
  EXPECT_THROW(type(first, offset, "x"), kj::Exception);
  Running second{attached.getProcess(), attached.getStdin(), first.id, out, out};
  type(second, offset, "hi");
  ASSERT_TRUE(until([&] { return out->data == "hi"; }));
  auto end = second.stdin.endRequest();
  end.setSize(2);
  end.send().ignoreResult().wait(io.waitScope);
  EXPECT_EQ(wait(second.process), "code 0");
}

void withTerminal(rpc::Command::Builder command) {
  auto terminal = command.initTerminal();
  terminal.setRows(33);
  terminal.setColumns(101);
  terminal.setType("vt100");
}

TEST_F(CommandTest, HasATerminalWithSizeAndJobControl) {
  auto running = start({"bash", "--norc", "-i"}, withTerminal);
  auto& out = running.out->data;
  uint64_t offset = 0;
  auto saw = [&](const char* text) { return until([&] { return out.find(text) != std::string::npos; }); };
  type(running, offset, "stty size; echo $TERM; tty | cut -c1-9\n");
  EXPECT_TRUE(saw("33 101")) << out;
  EXPECT_TRUE(saw("vt100")) << out;
  EXPECT_TRUE(saw("/dev/pts/")) << out;
  auto resize = running.process.resizeRequest();
  resize.setRows(40);
  resize.setColumns(120);
  resize.send().ignoreResult().wait(io.waitScope);
  type(running, offset, "stty size\n");
  EXPECT_TRUE(saw("40 120")) << out;
  type(running, offset, "sleep 100; echo st$?\n");
  pass(200);
  type(running, offset, "\x1a");  // Ctrl-Z
  EXPECT_TRUE(saw("Stopped")) << out;
  type(running, offset, "fg\n");
  pass(200);
  signal(running.process, SIGINT);
  EXPECT_TRUE(until([&] { return out.rfind("fg") != std::string::npos; }));
  type(running, offset, "echo after-$((40+2))\n");
  EXPECT_TRUE(saw("after-42")) << out;
  type(running, offset, "\x04");  // Ctrl-D
  EXPECT_EQ(wait(running.process), "code 0");
}

TEST_F(CommandTest, PassesHundredsOfMegabytes) {
  std::string text =
      output("head -c 200000000 /dev/zero | sha256sum", [](rpc::Command::Builder c) { c.setNoStdin(true); });
  auto running = start({"head", "-c", "200000000", "/dev/zero"});
  auto before = port.getTimer().now();
  EXPECT_EQ(wait(running.process), "code 0");
  auto ms = (port.getTimer().now() - before) / kj::MILLISECONDS;
  RecordProperty("ms", static_cast<int>(ms));
  EXPECT_EQ(running.out->data.size(), 200'000'000u);
  EXPECT_EQ(running.out->data.find_first_not_of('\0'), std::string::npos);
}

TEST_F(CommandTest, WaitsUntilItMayStart) {
  auto may = kj::newPromiseAndFulfiller<void>();
  auto forked = may.promise.fork();
  LocalTargetOptions options;
  options.mayStart = [&] { return forked.addBranch(); };
  served = makeLocalTarget(port, std::move(options));
  connect();
  auto out = std::make_shared<Collected>();
  auto request = target().execRequest();
  request.initCommand().initArgv(2).set(0, "echo");
  request.getCommand().getArgv().set(1, "late");
  request.setStdout(kj::heap<CollectingSink>(out));
  request.setStderr(kj::heap<CollectingSink>(std::make_shared<Collected>()));
  auto sent = request.send();
  auto process = sent.getProcess();
  pass(50);
  EXPECT_EQ(listed(), 0u);
  may.fulfiller->fulfill();
  EXPECT_EQ(wait(process), "code 0");
  EXPECT_EQ(out->data, "late\n");
}

}  // namespace
}  // namespace cove
