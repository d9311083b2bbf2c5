#include "cove/arguments.h"

#include <gtest/gtest.h>

namespace cove::cli {
namespace {

struct Sample {
  bool force = false, all = false;
  std::string name, file;
  std::vector<std::string> rest, command;
  uint64_t size = 0;

  Arguments declare(bool takesCommand = false) {
    Arguments arguments;
    arguments.flag("--force", force, "").brief('f');
    arguments.flag("--all", all, "").brief('a');
    arguments.option("--name", "NAME", name, "").brief('n');
    arguments.option(
        "--size", "SIZE", [this](const std::string& text) { size = sizeValue("--size", text); }, "");
    arguments.positional("FILE", file, "");
    arguments
        .positional(
            "REST", [this](const std::string& text) { rest.push_back(text); }, "")
        .optional()
        .repeats();
    if (takesCommand) arguments.command(command, "");
    return arguments;
  }
  void parse(std::vector<std::string> words, bool takesCommand = false) {
    declare(takesCommand).parse(words);
  }
};

std::string failure(std::vector<std::string> words, bool takesCommand = false) {
  Sample sample;
  try {
    sample.parse(std::move(words), takesCommand);
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Exit::kUsage);
    return error.message() + "|" + error.hint();
  }
  return "";
}

TEST(Arguments, OptionsStandAnywhere) {
  Sample sample;
  sample.parse({"a.txt", "--force", "--name", "web", "b"});
  EXPECT_TRUE(sample.force);
  EXPECT_FALSE(sample.all);
  EXPECT_EQ(sample.name, "web");
  EXPECT_EQ(sample.file, "a.txt");
  EXPECT_EQ(sample.rest, std::vector<std::string>{"b"});
}

TEST(Arguments, EveryWayToGiveAValue) {
  for (auto words : std::vector<std::vector<std::string>>{{"--name=web", "x"},
                                                          {"--name", "web", "x"},
                                                          {"-n", "web", "x"},
                                                          {"-nweb", "x"},
                                                          {"-fanweb", "x"}}) {
    Sample sample;
    sample.parse(words);
    EXPECT_EQ(sample.name, "web");
  }
  Sample sample;
  sample.parse({"--name=", "--force=false", "-a", "x"});
  EXPECT_EQ(sample.name, "");
  EXPECT_FALSE(sample.force);
  EXPECT_TRUE(sample.all);
}

TEST(Arguments, ValuesAreTakenByteForByte) {
  Sample sample;
  sample.parse({"--name=a=b,[c] d\xff", ""});
  EXPECT_EQ(sample.name, "a=b,[c] d\xff");
  EXPECT_EQ(sample.file, "");
  sample.parse({"--name", "--force", "-"});  // a value may look like an option
  EXPECT_EQ(sample.name, "--force");
  EXPECT_EQ(sample.file, "-");
}

TEST(Arguments, BehindTheDashes) {
  Sample sample;
  sample.parse({"--", "--force", "-x"});
  EXPECT_EQ(sample.file, "--force");
  EXPECT_EQ(sample.rest, std::vector<std::string>{"-x"});

  Sample with;
  with.parse({"x", "--", "ls", "-l", "--", ""}, true);
  EXPECT_EQ(with.command, (std::vector<std::string>{"ls", "-l", "--", ""}));
  EXPECT_FALSE(with.force);
}

TEST(Arguments, Failures) {
  EXPECT_EQ(failure({}), "FILE is missing|");
  EXPECT_EQ(failure({"x", "--name"}), "--name needs a value|");
  EXPECT_EQ(failure({"x", "-n"}), "--name needs a value|");
  EXPECT_EQ(failure({"x", "--forse"}), "unknown option --forse|Did you mean --force?");
  EXPECT_EQ(failure({"x", "-z"}), "unknown option -z|");
  EXPECT_EQ(failure({"x", "--size=much"}).substr(0, 34), "--size: \"much\" is not a size|A siz");
  EXPECT_NE(failure({"x", "--force=maybe"}), "");
  EXPECT_EQ(failure({"x", "--\x1b[31m"}), "unknown option --\\x1b[31m|");
}

TEST(Arguments, WordsOfACommandNeedDashes) {
  std::string command;
  std::vector<std::string> words;
  Arguments arguments;
  arguments.positional("OS", command, "");
  arguments.command(words, "");
  try {
    arguments.parse({"debian:12", "ls"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.hint().find("--"), std::string::npos);
  }
}

TEST(Arguments, Values) {
  EXPECT_EQ(instanceName("NAME", "web-1"), "web-1");
  for (std::string bad : {"", "Web", "../x", "a b", "-a", "a-"})
    EXPECT_THROW(instanceName("NAME", bad), Error);
  try {
    instanceName("NAME", std::string(300, 'a'));
    FAIL();
  } catch (const Error& error) {
    EXPECT_LT(error.message().size(), 120u);
    EXPECT_EQ(error.status(), Exit::kUsage);
  }
  EXPECT_EQ(numberValue("N", "255", 1, 255), 255u);
  for (std::string bad : {"", "0", "256", "-1", "+1", "1x", " 1", "99999999999999999999"}) {
    EXPECT_THROW(numberValue("N", bad, 1, 255), Error) << bad;
  }
  EXPECT_EQ(durationValue("T", "2m"), 120'000u);
}

}  // namespace
}  // namespace cove::cli
