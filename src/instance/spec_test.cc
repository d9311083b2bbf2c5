#include "instance/spec.h"

#include <capnp/message.h>
#include <gmock/gmock.h>

#include "base/error.h"

namespace cove {
namespace {

using testing::HasSubstr;

constexpr HostResources kHost{2, 4096, 200ULL << 30, 50ULL << 30};

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.message();
  }
  return "accepted";
}

InstanceSpec read(const std::function<void(rpc::InstanceSpec::Builder)>& fill) {
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<rpc::InstanceSpec>();
  fill(builder);
  return readSpec(builder.asReader());
}

TEST(Spec, Defaults) {
  InstanceSpec spec;
  resolveSpec(spec, kHost);
  EXPECT_EQ(spec.cpus, 2U);
  EXPECT_EQ(spec.memoryMiB, 2048U);
  EXPECT_EQ(spec.diskBytes, 100ULL << 30);
  InstanceSpec large;
  resolveSpec(large, {64, 512 * 1024, 1ULL << 42, 1ULL << 42});
  EXPECT_EQ(large.cpus, 4U);
  EXPECT_EQ(large.memoryMiB, 4096U);
}

TEST(Spec, MoreThanTheHostHasIsRefused) {
  auto resolve = [](InstanceSpec spec, HostResources host = kHost) {
    return refusal([&] { resolveSpec(spec, host); });
  };
  InstanceSpec spec;
  spec.cpus = 3;
  EXPECT_THAT(resolve(spec), HasSubstr("the host has 2"));
  spec = {};
  spec.memoryMiB = 4097;
  EXPECT_THAT(resolve(spec), HasSubstr("of memory"));
  spec = {};
  spec.diskBytes = 201ULL << 30;
  EXPECT_THAT(resolve(spec), HasSubstr("a disk of 201"));
  EXPECT_THAT(resolve({}, {2, 4096, 1 << 20, 1 << 20}), HasSubstr("no space"));
}

TEST(Spec, NamesThatAreNoneAreRefusedAndShownSafely) {
  for (std::string name : {"A", "-a", "a/b", "a\x1b[31m", "ä", "1a"})
    EXPECT_THAT(refusal([&] { read([&](auto b) { b.setName(name); }); }), HasSubstr("not a valid name"))
        << name;
  std::string message = refusal([] { read([](auto b) { b.setName(std::string(300, 'a')); }); });
  EXPECT_LT(message.size(), 120U);
  EXPECT_EQ(refusal([] { read([](auto b) { b.setName("\x1b[31m"); }); }).find('\x1b'), std::string::npos);
}

TEST(Spec, UserIsStrict) {
  auto user = [](const char* name, uint32_t uid) {
    return refusal([&] {
      read([&](auto b) {
        auto u = b.initUser();
        u.setName(name);
        u.setUid(uid);
      });
    });
  };
  EXPECT_EQ(user("alice", 1000), "accepted");
  EXPECT_EQ(user("", 0), "accepted");
  for (const char* name : {"a:b", "Alice", "0a", "a b", "a\nb"})
    EXPECT_THAT(user(name, 1000), HasSubstr("not a valid user name")) << name;
  EXPECT_THAT(user("alice", 0xffffffff), HasSubstr("cannot make a user"));
  EXPECT_THAT(user("alice", 65534), HasSubstr("cannot make a user"));
}

TEST(Spec, SurvivesItsEncoding) {
  InstanceSpec spec;
  spec.name = "a";
  spec.os = "debian:12";
  spec.ephemeral = true;
  spec.user = {"alice", 1000, 1001, "Alice \"A\""};
  resolveSpec(spec, kHost);
  InstanceSpec again = decodeSpec(encodeSpec(spec));
  EXPECT_EQ(encodeSpec(again), encodeSpec(spec));
  EXPECT_EQ(again.user.comment, spec.user.comment);
  EXPECT_THROW(decodeSpec("{}"), Error);
}

}  // namespace
}  // namespace cove
