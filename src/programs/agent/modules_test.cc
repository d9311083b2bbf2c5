#include "agent/modules.h"

#include <gmock/gmock.h>

#include "base/error.h"

namespace cove::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(ModuleList, KeepsTheOrder) {
  EXPECT_THAT(parseModuleList("/m/virtio.ko\n/m/virtio_blk.ko\n"),
              ElementsAre("/m/virtio.ko", "/m/virtio_blk.ko"));
}

TEST(ModuleList, ALastLineNeedsNoNewline) {
  EXPECT_THAT(parseModuleList("\n/m/a.ko\n\n/m/b.ko"), ElementsAre("/m/a.ko", "/m/b.ko"));
  EXPECT_THAT(parseModuleList(""), IsEmpty());
}

TEST(ModuleList, RefusesWhatIsNoAbsolutePath) {
  EXPECT_THROW(parseModuleList("virtio.ko\n"), Error);
  EXPECT_THROW(parseModuleList(std::string_view("/m/a\0b.ko\n", 10)), Error);
}

}  // namespace
}  // namespace cove::agent
