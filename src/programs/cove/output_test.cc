#include "cove/output.h"

#include <gtest/gtest.h>

namespace cove::cli {
namespace {

const std::vector<Record> kRecords = {
    {{"name", std::string("web"), "NAME"}, {"size", int64_t{1024}, "SIZE", "1 KiB"}, {"up", true}},
    {{"name", std::string("evil\x1b[2J\xff"), "NAME"},
     {"size", int64_t{-1}, "SIZE", "none"},
     {"up", std::vector<std::string>{"a", "b"}}},
};

std::string print(std::vector<std::string> words, const std::vector<Record>& records = kRecords) {
  Output output;
  Arguments arguments;
  output.declare(arguments);
  arguments.parse(words);
  return output.list(records);
}

TEST(Output, TableIsAlignedAndEscaped) {
  EXPECT_EQ(print({}),
            "NAME             SIZE\n"
            "web              1 KiB\n"
            "evil\\x1b[2J\\xff  none\n");
  EXPECT_EQ(print({}, {}), "");
}

TEST(Output, JsonIsAscii) {
  std::string json = print({"--output=json"});
  EXPECT_NE(json.find("\"name\": \"evil\\u001b[2J\\ufffd\""), std::string::npos) << json;
  EXPECT_NE(json.find("\"size\": 1024"), std::string::npos);
  EXPECT_NE(json.find("\"up\": true"), std::string::npos);
  EXPECT_EQ(print({"-o", "json"}, {}), "[]\n");
}

TEST(Output, Yaml) {
  EXPECT_EQ(print({"--output", "yaml"}),
            "- name: \"web\"\n  size: 1024\n  up: true\n"
            "- name: \"evil\\u001b[2J\\ufffd\"\n  size: -1\n  up: [\"a\",\"b\"]\n");
  EXPECT_EQ(print({"--output", "yaml"}, {}), "[]\n");
}

TEST(Output, Templates) {
  EXPECT_EQ(print({"--format", "{{.Name}}={{.SIZE}} {{json .up}}"}),
            "web=1024 true\nevil\\x1b[2J\\xff=-1 [\"a\",\"b\"]\n");
  EXPECT_EQ(print({"--format", "{{json .}}"}, {kRecords[0]}),
            "{\"name\":\"web\",\"size\":1024,\"up\":true}\n");
  EXPECT_THROW(print({"--format", "{{.Nmae}}"}), Error);
  EXPECT_THROW(print({"--output", "xml"}), Error);
}

TEST(Output, Single) {
  Output output;
  EXPECT_EQ(output.single(kRecords[0]), "NAME:  web\nSIZE:  1 KiB\n");
}

}  // namespace
}  // namespace cove::cli
