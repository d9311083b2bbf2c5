#include "cove/completion.h"

#include <gmock/gmock.h>

#include "base/child.h"

namespace cove::cli {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;

std::vector<std::string> names(Completion kind) {
  switch (kind) {
    case Completion::kInstance:
      return {"web", "db"};
    case Completion::kOs:
      return {"debian:12"};
    case Completion::kImage:
      return {"abc123"};
    default:
      return {};
  }
}

std::vector<std::string> offered(std::vector<std::string> words) {
  std::vector<std::string> result;
  for (const Candidate& candidate : complete(words, names).list) result.push_back(candidate.text);
  return result;
}

TEST(Completion, Commands) {
  EXPECT_THAT(offered({""}), IsSupersetOf({"run", "image", "daemon", "doctor"}));
  EXPECT_THAT(offered({""}), Not(Contains("ssh-proxy")));
  EXPECT_THAT(offered({"st"}), ElementsAre("start", "stop"));
  EXPECT_THAT(offered({"image", ""}), ElementsAre("list", "pull", "delete"));
  EXPECT_THAT(offered({"nonsense", ""}), IsEmpty());
}

TEST(Completion, Names) {
  EXPECT_THAT(offered({"stop", ""}), ElementsAre("web", "db"));
  EXPECT_THAT(offered({"stop", "--force", "w"}), ElementsAre("web"));
  EXPECT_THAT(offered({"stop", "web", ""}), IsEmpty());
  EXPECT_THAT(offered({"delete", "web", ""}), ElementsAre("web", "db"));
  EXPECT_THAT(offered({"start", ""}), ElementsAre("web", "db", "debian:12"));
  EXPECT_THAT(offered({"run", "--name", "x", "deb"}), ElementsAre("debian:12"));
  EXPECT_THAT(offered({"image", "delete", "a"}), ElementsAre("abc123"));
}

TEST(Completion, OptionsAndTheirValues) {
  EXPECT_THAT(offered({"stop", "--f"}), ElementsAre("--force"));
  EXPECT_THAT(offered({"list", "--output", ""}), ElementsAre("table", "json", "yaml"));
  EXPECT_THAT(offered({"list", "-o", "j"}), ElementsAre("json"));
  EXPECT_THAT(offered({"list", "--output=y"}), ElementsAre("--output=yaml"));
  EXPECT_THAT(offered({"completion", ""}), ElementsAre("bash", "zsh", "fish"));
}

TEST(Completion, FilesAndGuestCommands) {
  EXPECT_TRUE(complete({"copy", ""}, names).files);
  EXPECT_THAT(offered({"copy", "w"}), ElementsAre("web:"));
  EXPECT_THAT(offered({"run", "debian:12", "--", ""}), IsEmpty());
  EXPECT_FALSE(complete({"stop", ""}, names).files);
}

// The bash script with a cove that answers as the real one does.
TEST(Completion, BashScriptHandlesColons) {
  std::string script =
      "cove() { shift 2; [ \"$2\" = debian:1 ] && printf 'debian:12\\tnew\\ndebian:13\\tnew\\n'; }\n" +
      completionScript("bash") +
      "COMP_WORDS=(cove start debian : 1); COMP_CWORD=4; _cove; printf '%s\\n' \"${COMPREPLY[@]}\"";
  EXPECT_EQ(capture({"bash", "-c", script}), "12\n13\n");
}

}  // namespace
}  // namespace cove::cli
