#include "instance/ssh_config.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "journal/test_support.h"

namespace cove {
namespace {

const std::string kKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk1bWb2m8iCzO1mNqKuUX3vGJ7cQkGdJfvJ6sVbq0hR";

TEST(SshConfig, HostKeyIsOneKeyAndNothingElse) {
  EXPECT_EQ(checkedHostKey(kKey), kKey);
  EXPECT_EQ(checkedHostKey(kKey + " root@guest"), kKey);
  for (const std::string& line : {std::string(), std::string("ssh-rsa AAAA"), kKey.substr(0, 60), kKey + "A",
                                  std::string("ssh-ed25519 "), "ssh-ed25519 *\n" + kKey,
                                  kKey.substr(0, 70) + "\ncove", "@cert-authority * " + kKey})
    EXPECT_THROW(checkedHostKey(line), Error) << line;
}

TEST(SshConfig, IsReadBySshAsMeant) {
  TemporaryState state;
  writeSshConfig(state.dir().fd, {"web", state.dir().path, "alice", kKey, "/usr/bin/cove"});
  std::string options = capture({"ssh", "-F", state.path("ssh.config"), "-G", "web"});
  for (const char* line :
       {"stricthostkeychecking true", "identitiesonly yes", "identityagent none", "forwardagent no",
        "user alice", "hostkeyalias cove-web", "proxycommand '/usr/bin/cove' ssh-proxy web"})
    EXPECT_THAT(options, testing::HasSubstr(line));
  EXPECT_THAT(options, testing::HasSubstr("identityfile " + state.path("key")));
}

TEST(SshConfig, UnsafePathsAreRefused) {
  TemporaryState state;
  for (const char* path : {"/a'b", "/a\"b", "/a%h", "/a${HOME}", "/a\nHost *", "a", "/a`id`"}) {
    EXPECT_THROW(writeSshConfig(state.dir().fd, {"web", path, "alice", kKey, "/usr/bin/cove"}), Error)
        << path;
    EXPECT_THROW(writeSshConfig(state.dir().fd, {"web", "/home", "alice", kKey, path}), Error) << path;
  }
  EXPECT_NE(::access(state.path("ssh.config").c_str(), F_OK), 0);
}

}  // namespace
}  // namespace cove
