#include "machine/state_file.h"

#include <gtest/gtest.h>
#include <sodium.h>
#include <unistd.h>

#include "base/error.h"
#include "machine/saved_memory.h"

namespace cove {
namespace {
constexpr off_t kMemory = 700 * 4096;

StateKey keyOf(unsigned char fill) {
  StateKey key;
  key.salt.fill(fill);
  key.key.fill(static_cast<unsigned char>(fill + 1));
  return key;
}
Fd memoryFile() {
  Fd memory = makeMemfd("memory");
  EXPECT_EQ(::ftruncate(memory.get(), kMemory), 0);
  return memory;
}
std::string contents(const Fd& file) {
  EXPECT_EQ(::lseek(file.get(), 0, SEEK_SET), 0);
  return readAll(file, 1 << 24, "a file");
}
Fd fileWith(std::string_view text) {
  Fd file = makeMemfd("file");
  writeAll(file, text, "a file");
  return file;
}
const std::string kSecret = "a secret of the guest's";

std::string written() {
  Fd file = makeMemfd("file"), memory = memoryFile();
  for (off_t page : {0, 3, 699})
    EXPECT_EQ(::pwrite(memory.get(), kSecret.data(), kSecret.size(), page * 4096),
              static_cast<ssize_t>(kSecret.size()));
  std::string noise(1 << 20, '\0');  // more than a message
  ::randombytes_buf(noise.data(), noise.size());
  EXPECT_EQ(::pwrite(memory.get(), noise.data(), noise.size(), 100 * 4096),
            static_cast<ssize_t>(noise.size()));
  writeState(file, keyOf(1), "a kind", fileWith("devices"), memory);
  return contents(file);
}
std::string errorOf(std::string_view bytes, const StateKey& key = keyOf(1),
                    std::string_view kind = "a kind") {
  try {
    readState(fileWith(bytes), key, kind, makeMemfd("devices"), memoryFile());
  } catch (const Error& e) {
    return e.message();
  }
  return "";
}
const std::string kDamaged = "its saved state is damaged, or was written with another key";

TEST(StateFile, ComesBackAsItWas) {
  Fd devices = makeMemfd("devices"), memory = memoryFile();
  std::string bytes = written();
  readState(fileWith(bytes), keyOf(1), "a kind", devices, memory);
  EXPECT_EQ(contents(devices), "devices");
  std::string got = contents(memory);
  ASSERT_EQ(got.size(), static_cast<size_t>(kMemory));
  EXPECT_EQ(got.substr(0, kSecret.size()), kSecret);
  EXPECT_EQ(got.substr(699 * 4096, kSecret.size()), kSecret);
  EXPECT_EQ(readSalt(fileWith(bytes)), keyOf(1).salt);
}

TEST(StateFile, TellsNothing) {
  std::string bytes = written();
  for (const char* plain : {"a secret", "devices", "a kind"}) EXPECT_EQ(bytes.find(plain), std::string::npos);
  EXPECT_NE(bytes, written());  // the same state, another time
}

TEST(StateFile, AnotherKeyKindOrSizeIsAnError) {
  std::string bytes = written();
  EXPECT_EQ(errorOf(bytes), "");
  StateKey other = keyOf(1);
  other.key[31] ^= 1;
  EXPECT_EQ(errorOf(bytes, other), kDamaged);
  EXPECT_EQ(errorOf(bytes, keyOf(2)), kDamaged);
  EXPECT_EQ(errorOf(bytes, keyOf(1), "another kind"), "it was saved on another kind of host");
  Fd small = makeMemfd("memory");
  ASSERT_EQ(::ftruncate(small.get(), kMemory - 4096), 0);
  EXPECT_THROW(readState(fileWith(bytes), keyOf(1), "a kind", makeMemfd("devices"), small), Error);
}

TEST(StateFile, EveryTruncationIsAnError) {
  std::string bytes = written();
  for (size_t size = 0; size < bytes.size(); size += size < 256 ? 1 : 65'521)
    EXPECT_EQ(errorOf(bytes.substr(0, size)), kDamaged) << size;
  EXPECT_EQ(errorOf(bytes.substr(0, bytes.size() - 1)), kDamaged);
}

TEST(StateFile, EveryChangeIsAnError) {
  std::string bytes = written();
  EXPECT_EQ(errorOf(bytes + "x"), kDamaged);
  EXPECT_EQ(errorOf(bytes + bytes.substr(72)), kDamaged);
  for (size_t at = 0; at < bytes.size(); at += at < 128 ? 1 : 65'521) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    EXPECT_EQ(errorOf(changed), kDamaged) << at;
  }
}

TEST(StateFile, AKeyTravelsInAFileThatNobodyChanges) {
  Fd packed = packKey(keyOf(7));
  EXPECT_LT(::pwrite(packed.get(), "x", 1, 0), 0);
  StateKey key = unpackKey(packed);
  EXPECT_EQ(key.salt, keyOf(7).salt);
  EXPECT_EQ(key.key, keyOf(7).key);
  EXPECT_THROW(unpackKey(fileWith("short")), Error);
}

}  // namespace
}  // namespace cove
