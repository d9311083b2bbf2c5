// Commands against a daemon that only pretends, whose machines are this one.
#include <csignal>
#include <gmock/gmock.h>

#include "base/fd.h"
#include "cove/fake_daemon.h"

namespace cove::cli {
namespace {

using testing::HasSubstr;

class Commands : public testing::Test {
 protected:
  FakeDaemon daemon_;
};

TEST_F(Commands, RunPassesStreamsAndStatusAndDeletes) {
  auto result =
      daemon_.cove({"run", "-q", "debian:12", "--", "sh", "-c", "cat; echo err >&2; exit 3"}, "in\n");
  EXPECT_EQ(result.ended.status, 3);
  EXPECT_EQ(result.out, "in\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(daemon_.calls(), "run fresh debian:12\nforce-delete fresh\n");
}

TEST_F(Commands, RunOfWhatIsNotThere) {
  auto result = daemon_.cove({"run", "debian:12", "--", "/no/such/program"});
  EXPECT_EQ(result.ended.status, 127);
  EXPECT_THAT(result.err, HasSubstr("/no/such/program"));
}

TEST_F(Commands, RunOfAMachineThatFailsIs125AndLeavesNothing) {
  auto result = daemon_.cove({"run", "--name", "bad", "debian:12", "--", "true"});
  EXPECT_EQ(result.ended.status, 125);
  EXPECT_THAT(result.err, HasSubstr("panicked: \\x1b[2Jboo"));
  EXPECT_THAT(daemon_.calls(), HasSubstr("force-delete bad\n"));
}

TEST_F(Commands, RunKeepsWhatItWasToldToKeep) {
  auto result = daemon_.cove({"run", "--keep", "debian:12", "--", "false"});
  EXPECT_EQ(result.ended.status, 1);
  EXPECT_EQ(daemon_.calls(), "run fresh debian:12\nkeep fresh\nstop fresh\n");
}

TEST_F(Commands, RunDetachedLeavesAnInstance) {
  auto result = daemon_.cove({"run", "--detach", "debian:12"});
  EXPECT_EQ(result.ended.status, 0);
  EXPECT_EQ(result.out, "fresh\n");
  EXPECT_EQ(daemon_.calls(), "create fresh debian:12\nstart fresh\nconnect fresh\n");
  EXPECT_EQ(daemon_.cove({"run", "-d", "--name", "bad", "debian:12"}).ended.status, 125);
  EXPECT_THAT(daemon_.calls(), HasSubstr("force-delete bad\n"));
}

TEST_F(Commands, InterruptedWhileItIsMade) {
  for (const char* command : {"run", "create", "start"}) {
    auto result = daemon_.cove({command, "--name", "stuck", "debian:12"}, "", SIGINT, "stuck");
    EXPECT_EQ(result.ended.signal, SIGINT) << command << result.err;
  }
}

TEST_F(Commands, InterruptedTheyWaitUntilItIsUndoneWhateverItsName) {
  for (const char* name : {"fresh", "named"}) {
    std::vector<std::string> words = {"run", "long:1"};
    if (std::string(name) == "named") words.insert(words.end(), {"--name", name});
    auto result = daemon_.cove(words, "", SIGINT, name);
    EXPECT_EQ(result.ended.signal, SIGINT) << result.err;
    EXPECT_THAT(daemon_.calls(), testing::EndsWith(std::string("undone ") + name + "\n"));
  }
}

TEST_F(Commands, LeadingOptionsHideNoMistake) {
  for (const char* option : {"--quiet", "-q", "--tty=false"})
    EXPECT_THAT(daemon_.cove({option, "craete"}).err, HasSubstr("create")) << option;
  EXPECT_THAT(daemon_.cove({"--quiet"}).err, HasSubstr("Commands:"));
  EXPECT_EQ(daemon_.cove({"--quiet", "info", "web", "--format", "{{.Name}}"}).out, "web\n");
}

TEST_F(Commands, InterruptedWhileItStarts) {
  for (const char* command : {"run", "start"}) {
    auto result = daemon_.cove({command, "--name", "slow", "debian:12"}, "", SIGTERM, "slow");
    EXPECT_EQ(result.ended.signal, SIGTERM) << command << result.err;
    EXPECT_THAT(daemon_.calls(), testing::EndsWith("force-delete slow\n"));
  }
}

TEST_F(Commands, ShellPassesTheCommand) {
  auto result = daemon_.cove({"shell", "web", "--user", "root", "--env", "X=a b", "--workdir", "/", "--",
                              "sh", "-c", "echo \"$X\"; pwd; kill -9 $$"});
  EXPECT_EQ(result.ended.status, 128 + 9);
  EXPECT_EQ(result.out, "a b\n/\n");
}

TEST_F(Commands, ShellSaysHowToStart) {
  auto result = daemon_.cove({"shell", "off", "--", "true"});
  EXPECT_EQ(result.ended.status, 125);
  EXPECT_THAT(result.err, HasSubstr("  cove start off\n"));
  EXPECT_EQ(daemon_.cove({"info", "nobody"}).ended.status, 1);
  EXPECT_EQ(daemon_.cove({"shell", "../x"}).ended.status, 125);
  EXPECT_EQ(daemon_.cove({"info", "../x"}).ended.status, 2);
}

TEST_F(Commands, StartTellsNamesFromOperatingSystems) {
  EXPECT_EQ(daemon_.cove({"start", "off"}).ended.status, 0);
  EXPECT_EQ(daemon_.calls(), "start off\nconnect off\n");
  EXPECT_EQ(daemon_.cove({"start", "debian-12"}).out, "fresh\n");
  EXPECT_THAT(daemon_.calls(), HasSubstr("create fresh debian-12\n"));
  EXPECT_EQ(daemon_.cove({"start", "nobody"}).ended.status, 1);
}

TEST_F(Commands, ListAndFormats) {
  EXPECT_EQ(daemon_.cove({"list", "--format", "{{.Name}} {{.State}}"}).out, "off stopped\nweb ready\n");
  EXPECT_THAT(daemon_.cove({"list"}).out, HasSubstr("web   ready"));
  EXPECT_THAT(daemon_.cove({"info", "web", "-o", "yaml"}).out, HasSubstr("name: \"web\"\n"));
}

TEST_F(Commands, CopyAndConsole) {
  std::string from = daemon_.directory() + "/from", to = daemon_.directory() + "/to";
  writeAll(openFile(from, O_WRONLY | O_CREAT, 0640), "text", from);
  auto result = daemon_.cove({"copy", from, "web:" + to});
  EXPECT_EQ(result.ended.status, 0) << result.err;
  EXPECT_EQ(readFile(to, 100), "text");
  EXPECT_EQ(daemon_.cove({"copy", from, to}).ended.status, 2);
  EXPECT_EQ(daemon_.cove({"console", "web"}).out, "login: ");
}

}  // namespace
}  // namespace cove::cli
