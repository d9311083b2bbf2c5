#include "image/request.h"

#include <csignal>
#include <gmock/gmock.h>

#include "base/error.h"
#include "image/log_progress.h"
#include "image/preconditions.h"
#include "image/recipe.h"

namespace cove::image {
namespace {
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

TEST(Request, ComesBackAsItWas) {
  BuildRequest r{parseOs("debian:13", "minimal"), "http://m/debian", "", {"http_proxy=http://u:p@h"}};
  BuildRequest back = BuildRequest::decode(r.encode());
  EXPECT_EQ(back.os.suite, "trixie");
  EXPECT_EQ(back.os.variant, "minimal");
  EXPECT_EQ(back.mirror, r.mirror);
  EXPECT_EQ(back.environment, r.environment);
}

TEST(Request, WhatTheSandboxSaysIsChecked) {
  EXPECT_EQ(Assembled::decode(Assembled{"6.1.0-1", {{"a", "1"}}}.encode()).packages[0].second, "1");
  for (const char* text :
       {"", "[]", "{}", R"({"kernelRelease":"../x","packages":[]})",
        R"({"kernelRelease":"a/b","packages":[]})", R"({"kernelRelease":"","packages":[]})",
        R"({"kernelRelease":"6.1","packages":{}})", R"({"kernelRelease":"6.1"})"})
    EXPECT_THROW(Assembled::decode(text), Error) << text;
}

TEST(ProgressLine, ComesBackAndIsBounded) {
  auto p = Progress::decode("5 10 unpacking packages");
  ASSERT_TRUE(p);
  EXPECT_EQ(p->done, 5u);
  EXPECT_EQ(p->total, 10u);
  EXPECT_EQ(p->step, "unpacking packages");
  EXPECT_EQ(Progress::decode("0 0 \x1b[2J")->step, "\\x1b[2J");
  for (std::string line : {"", "x", "1 2", "a 1 s", "1 -1 s", "99999999999999999999 1 s"})
    EXPECT_FALSE(Progress::decode(line)) << line;
  EXPECT_FALSE(Progress::decode("1 1 " + std::string(300, 's')));
}

TEST(LogProgress, FollowsAptAndDpkg) {
  LogProgress log(50'000'000);
  EXPECT_FALSE(log.feed("I: running apt-get update..."));
  auto p = log.feed("Get:4 http://mirror/debian bookworm/main amd64 Packages [8790 kB]");
  ASSERT_TRUE(p);
  EXPECT_EQ(p->done, 8'790'000u);
  EXPECT_EQ(p->total, 50'000'000u);
  EXPECT_EQ(log.feed("Get:5 http://mirror/x [60.5 MB]")->total, 69'290'000u);
  EXPECT_FALSE(log.feed("0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded."));
  EXPECT_EQ(log.feed("Unpacking dash (0.5) ...")->total, 2u);
  EXPECT_EQ(log.feed("Setting up dash (0.5) ...")->done, 1u);
}

TEST(LogProgress, NonsenseDoesNoHarm) {
  LogProgress log(0);
  for (const char* line :
       {"", "Get:", "Get:1 [", "Get:1 []", "Get:1 [1e400 MB]", "Get:1 [-5 kB]", "Get:1 [nan B]",
        " newly installed", "x newly installed", "99999999999999999999 newly installed"})
    log.feed(line);
  EXPECT_EQ(log.feed("Get:1 [1 B]")->done, 1u);
}

TEST(Recipe, KeyFollowsWhatChangesTheImage) {
  auto key = [](const char* os, const char* variant) { return recipeFor(parseOs(os, variant)).key(); };
  EXPECT_EQ(key("debian:12", "default"), key("debian-12", ""));
  EXPECT_NE(key("debian:12", "default"), key("debian:12", "minimal"));
  EXPECT_NE(key("debian:12", "default"), key("debian:13", "default"));
  EXPECT_EQ(key("debian:12", "").size(), 16u);
}

TEST(Recipe, MinimalIsPartOfDefault) {
  Recipe minimal = recipeFor(parseOs("debian:12", "minimal")), full = recipeFor(parseOs("debian:12"));
  for (const std::string& package : minimal.packages) EXPECT_THAT(full.packages, Contains(package));
  EXPECT_THAT(minimal.packages, Not(Contains("openssh-server")));
  EXPECT_THAT(full.disabledUnits, Contains("ssh.service"));
}

TEST(Failure, KnownReasonsAreNamedAndTheLogEscaped) {
  const Ended failed{1, 0};
  Error e = explainFailure(
      failed, "line one\nE: Failed to fetch http://m/x  Could not connect\n\x1b[31mlast\n", "/s/k.log");
  EXPECT_THAT(e.message(), HasSubstr("cannot be reached"));
  EXPECT_THAT(e.message(), Not(HasSubstr("\n")));
  EXPECT_THAT(e.hint(), HasSubstr("/s/k.log"));
  EXPECT_THAT(e.hint(), HasSubstr("\\x1b[31mlast"));
  EXPECT_THAT(e.hint(), HasSubstr("COVE_MIRROR"));
  EXPECT_THAT(explainFailure(failed, "write: No space left on device", "l").message(),
              HasSubstr("no space left"));
  EXPECT_THAT(explainFailure(failed, "InRelease' is not signed", "l").message(), HasSubstr("signature"));
  EXPECT_THAT(
      explainFailure(failed, "E: Failed to fetch http://m/x  502\nE: 'x' is not signed", "l").message(),
      HasSubstr("cannot be reached"));
  std::string many;
  for (int i = 0; i < 100; ++i) many += "line " + std::to_string(i) + "\n";
  for (const char* served : {"E: The repository 'http://m x Release' does not have a Release file.",
                             "E: Failed to fetch http://m/InRelease  Clearsigned file isn't valid, got "
                             "'NOSPLIT' (does the network "
                             "require authentication?)"})
    EXPECT_THAT(explainFailure(failed, served, "l").message(), HasSubstr("no archive of this release"));
  EXPECT_THAT(explainFailure(failed, many, "l").hint(), HasSubstr("line 99"));
  EXPECT_THAT(explainFailure(failed, many, "l").hint(), Not(HasSubstr("line 80\n")));
  EXPECT_THAT(explainFailure(Ended{0, SIGKILL}, "", "l").message(), HasSubstr("signal 9"));
}

}  // namespace
}  // namespace cove::image
