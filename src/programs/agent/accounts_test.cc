#include "agent/accounts.h"

#include <gmock/gmock.h>

#include "base/error.h"

namespace cove::agent {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t kToday = 20'000;

AccountFiles image() {
  return {"root:x:0:0:root:/root:/bin/bash\ngames:x:5:60:games:/usr/games:/usr/sbin/nologin\n",
          "root:*:19000:0:99999:7:::\ngames:*:19000:0:99999:7:::\n",
          "root:x:0:\nsudo:x:27:\ngames:x:60:\nusers:x:100:\n", "root:*::\nsudo:*::\n"};
}

TEST(AddAccount, AddsOneLineToEachFile) {
  AccountFiles files = image();
  Account account = addAccount(files, {"alice", 1000, 1000, "Alice"}, kToday);
  EXPECT_EQ(account.uid, 1000u);
  EXPECT_EQ(account.home, "/home/alice");
  EXPECT_EQ(files.passwd, image().passwd + "alice:x:1000:1000:Alice:/home/alice:/bin/bash\n");
  EXPECT_EQ(files.shadow, image().shadow + "alice:*:20000:0:99999:7:::\n");
  EXPECT_EQ(files.group, image().group + "alice:x:1000:\n");
  EXPECT_EQ(files.gshadow, image().gshadow + "alice:!::\n");
}

TEST(AddAccount, ASecondTimeChangesNothing) {
  AccountFiles files = image();
  addAccount(files, {"alice", 1000, 1000, ""}, kToday);
  AccountFiles once = files;
  Account account = addAccount(files, {"alice", 1000, 1000, "Another"}, kToday + 1);
  EXPECT_EQ(files, once);
  EXPECT_EQ(account.gid, 1000u);
}

TEST(AddAccount, KeepsTheIdsOfAnAccountThatIsThere) {
  AccountFiles files = image();
  files.passwd += "alice:x:1007:1008::/srv/alice:/bin/sh\n";
  Account account = addAccount(files, {"alice", 1000, 1000, ""}, kToday);
  EXPECT_EQ(account.uid, 1007u);
  EXPECT_EQ(account.gid, 1008u);
  EXPECT_EQ(account.home, "/srv/alice");
}

TEST(AddAccount, TakenIdsAreReplaced) {
  AccountFiles files = image();
  files.passwd += "debian:x:1000:1000::/home/debian:/bin/bash\n";
  files.group += "debian:x:1000:\n";
  Account account = addAccount(files, {"alice", 1000, 1000, ""}, kToday);
  EXPECT_EQ(account.uid, 1001u);
  EXPECT_EQ(account.gid, 1001u);
}

TEST(AddAccount, IdsOfTheSystemAreReplaced) {
  for (uint32_t id : {0u, 5u, 27u, 999u, 65534u, 65535u, 4294967295u}) {
    AccountFiles files = image();
    Account account = addAccount(files, {"alice", id, id, ""}, kToday);
    EXPECT_EQ(account.uid, 1000u) << id;
    EXPECT_EQ(account.gid, 1000u) << id;
  }
  AccountFiles files = image();
  EXPECT_EQ(addAccount(files, {"alice", 1234567, 100, ""}, kToday).uid, 1234567u);
}

TEST(AddAccount, NeverBecomesASystemAccountOrGroup) {
  AccountFiles files = image();
  EXPECT_THROW(addAccount(files, {"games", 1000, 1000, ""}, kToday), Error);
  EXPECT_THROW(addAccount(files, {"sudo", 1000, 1000, ""}, kToday), Error);
  EXPECT_THROW(addAccount(files, {"root", 1000, 1000, ""}, kToday), Error);
  EXPECT_EQ(files.passwd, image().passwd);
}

TEST(AddAccount, ACommentCannotEndItsField) {
  AccountFiles files = image();
  addAccount(files, {"alice", 1000, 1000, "A:0:0\nroot2:x:0:0::/:/bin/sh"}, kToday);
  EXPECT_THAT(files.passwd, Not(HasSubstr("\nroot2")));
  EXPECT_THAT(files.passwd, EndsWith("alice:x:1000:1000:A00root2x00//bin/sh:/home/alice:/bin/bash\n"));
}

TEST(AddAccount, AFileWithoutALastNewlineIsNotJoined) {
  AccountFiles files = image();
  files.passwd.pop_back();
  addAccount(files, {"alice", 1000, 1000, ""}, kToday);
  EXPECT_THAT(files.passwd, HasSubstr("nologin\nalice:x:"));
}

TEST(UserName, IsOnePlainWord) {
  for (const char* good : {"alice", "_x", "a-b_c9", "abcdefghijklmnopqrstuvwxyzabcdef"})
    EXPECT_TRUE(isUserName(good)) << good;
  for (const char* bad : {"", "Alice", "9a", "-a", "a b", "a:b", "a\n", "ä", "a.b", "a/b", "%a",
                          "abcdefghijklmnopqrstuvwxyzabcdefg"})
    EXPECT_FALSE(isUserName(bad)) << bad;
}

}  // namespace
}  // namespace cove::agent
