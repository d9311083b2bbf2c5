#include "image/modules.h"

#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <lzma.h>
#include <sys/stat.h>

#include "base/error.h"
#include "image/cpio.h"

namespace cove::image {
namespace {
using testing::ElementsAre;
using testing::HasSubstr;

// modules.dep lists what a module needs last first, and indirect needs too.
constexpr const char* kDependencies =
    "kernel/net/virtio_net.ko: kernel/net/net_failover.ko kernel/net/failover.ko kernel/virtio.ko "
    "kernel/virtio_ring.ko\n"
    "kernel/net/net_failover.ko: kernel/net/failover.ko\n"
    "kernel/net/failover.ko:\n"
    "kernel/virtio.ko: kernel/virtio_ring.ko\n"
    "kernel/virtio_ring.ko:\n"
    "kernel/hw/virtio-rng.ko.xz: kernel/virtio.ko kernel/virtio_ring.ko\n";

TEST(Modules, NeedsComeFirstAndOnce) {
  ModuleIndex index(kDependencies, "kernel/fs/ext4/ext4.ko\n");
  EXPECT_THAT(
      index.loadOrder({"virtio_rng", "virtio_net", "ext4"}),
      ElementsAre("kernel/virtio_ring.ko", "kernel/virtio.ko", "kernel/hw/virtio-rng.ko.xz",
                  "kernel/net/failover.ko", "kernel/net/net_failover.ko", "kernel/net/virtio_net.ko"));
}

TEST(Modules, BuiltinIsLeftOutEvenAsANeed) {
  ModuleIndex index("a.ko: b.ko\n", "kernel/b.ko\n");
  EXPECT_THAT(index.loadOrder({"a", "b"}), ElementsAre("a.ko"));
}

TEST(Modules, NamesIgnoreDashes) {
  EXPECT_EQ(moduleName("kernel/drivers/virtio-rng.ko.xz"), "virtio_rng");
  EXPECT_THAT(ModuleIndex(kDependencies, "").loadOrder({"virtio-rng"}), testing::SizeIs(3));
}

TEST(Modules, MissingAndCircularAreErrors) {
  EXPECT_THROW(ModuleIndex(kDependencies, "").loadOrder({"btrfs"}), Error);
  EXPECT_THROW(ModuleIndex("a.ko: b.ko\nb.ko: a.ko\n", "").loadOrder({"a"}), Error);
  EXPECT_THROW(ModuleIndex("a.ko: gone.ko\n", "").loadOrder({"a"}), Error);
  EXPECT_THROW(ModuleIndex("nonsense\n", ""), Error);
}

class ModuleFiles : public testing::Test {
 protected:
  ModuleFiles() {
    char path[] = "/tmp/cove-modules-XXXXXX";
    path_ = ::mkdtemp(path);
    dir_ = openFile(path_, O_RDONLY | O_DIRECTORY);
  }
  ~ModuleFiles() override { std::filesystem::remove_all(path_); }
  void write(const std::string& name, const std::string& content) {
    writeAll(openAt(dir_, name, O_WRONLY | O_CREAT, 0600), content, name);
  }
  static std::string xz(const std::string& text) {
    std::string out(lzma_stream_buffer_bound(text.size()), '\0');
    size_t size = 0;
    EXPECT_EQ(
        lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, nullptr, reinterpret_cast<const uint8_t*>(text.data()),
                                text.size(), reinterpret_cast<uint8_t*>(out.data()), &size, out.size()),
        LZMA_OK);
    out.resize(size);
    return out;
  }
  std::string path_;
  Fd dir_;
};

TEST_F(ModuleFiles, CompressedOnesAreUnpacked) {
  std::string large(9 << 20, 'm');
  write("plain.ko", "plain");
  write("large.ko.xz", xz(large));
  write("bad.ko.xz", "no xz at all");
  write("odd.ko.gz", "x");
  EXPECT_EQ(readModule(dir_, "plain.ko"), "plain");
  EXPECT_EQ(readModule(dir_, "large.ko.xz"), large);
  EXPECT_THROW(readModule(dir_, "bad.ko.xz"), Error);
  EXPECT_THROW(readModule(dir_, "odd.ko.gz"), Error);
  EXPECT_THROW(readModule(dir_, "../etc/passwd"), Error);
}

// The archive, read back by cpio(1)'s rules.
std::vector<std::pair<std::string, std::string>> unpack(const std::string& archive) {
  std::vector<std::pair<std::string, std::string>> files;
  for (size_t at = 0; at + 110 <= archive.size();) {
    EXPECT_EQ(archive.substr(at, 6), "070701");
    auto field = [&](size_t i) { return std::stoul(archive.substr(at + 6 + 8 * i, 8), nullptr, 16); };
    size_t size = field(6), name = field(11);
    std::string path = archive.substr(at + 110, name - 1);
    size_t data = (at + 110 + name + 3) / 4 * 4;
    if (path == "TRAILER!!!") break;
    if (!S_ISDIR(field(1))) files.emplace_back(path, archive.substr(data, size));
    at = (data + size + 3) / 4 * 4;
  }
  return files;
}

TEST_F(ModuleFiles, ArchiveHoldsThemAndTheirOrder) {
  write("b.ko", "content of b");
  write("a.ko.xz", xz("content of a"));
  ModuleIndex index("a.ko.xz: b.ko\nb.ko:\n", "");
  auto files = unpack(moduleArchive(dir_, "6.1", index, {"a"}));
  EXPECT_THAT(files,
              ElementsAre(std::pair("lib/modules/6.1/b.ko", "content of b"),
                          std::pair("lib/modules/6.1/a.ko", "content of a"),
                          std::pair("lib/cove/modules", "/lib/modules/6.1/b.ko\n/lib/modules/6.1/a.ko\n")));
}

TEST(Cpio, EveryLengthIsPadded) {
  for (size_t n = 0; n < 9; ++n) {
    CpioWriter w;
    w.file(std::string(n + 1, 'n'), std::string(n, 'c'));
    w.file("last", "end");
    auto files = unpack(std::move(w).finish());
    ASSERT_EQ(files.size(), 2u);
    EXPECT_EQ(files[0].second, std::string(n, 'c'));
    EXPECT_EQ(files[1], std::pair(std::string("last"), std::string("end")));
  }
}

}  // namespace
}  // namespace cove::image
