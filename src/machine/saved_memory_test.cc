#include "machine/saved_memory.h"

#include <cstring>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"

namespace cove {
namespace {
constexpr uint64_t kPages = 700;  // more than a block

Fd memoryOf(uint64_t pages) {
  Fd memory = makeMemfd("memory");
  EXPECT_EQ(::ftruncate(memory.get(), static_cast<off_t>(pages * kMemoryPage)), 0);
  return memory;
}
void put(const Fd& memory, uint64_t page, char value) {
  std::string bytes(kMemoryPage, value);
  EXPECT_EQ(::pwrite(memory.get(), bytes.data(), bytes.size(), static_cast<off_t>(page * kMemoryPage)),
            static_cast<ssize_t>(bytes.size()));
}
std::string contents(const Fd& file) {
  EXPECT_EQ(::lseek(file.get(), 0, SEEK_SET), 0);
  return readAll(file, 1 << 24, "a file");
}
Fd fileWith(std::string_view bytes) {
  Fd file = makeMemfd("file");
  writeAll(file, bytes, "a file");
  return file;
}
std::string saved() {
  Fd memory = memoryOf(kPages), file = makeMemfd("file");
  put(memory, 0, 'a');
  put(memory, 1, 'b');
  put(memory, 300, '\0');  // data that is zero
  put(memory, 511, 'c');
  put(memory, kPages - 1, 'd');
  writeMemory(memory, [&](std::string_view bytes) { writeAll(file, bytes, "a file"); });
  return contents(file);
}
std::string errorOf(std::string_view bytes, uint64_t pages = kPages) {
  auto take = [&](char* to, size_t size) {
    if (bytes.size() < size) throw Error("cut off");
    std::memcpy(to, bytes.data(), size);
    bytes.remove_prefix(size);
  };
  try {
    readMemory(take, memoryOf(pages));
  } catch (const Error& e) {
    return e.message();
  }
  return "";
}
std::string number(uint64_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

TEST(SavedMemory, ComesBackAsItWas) {
  Fd file = fileWith(saved()), memory = memoryOf(kPages);
  EXPECT_EQ(::lseek(file.get(), 0, SEEK_SET), 0);
  readMemory([&](char* to, size_t size) { EXPECT_EQ(readSome(file, to, size, "a file"), size); }, memory);
  char more;
  EXPECT_EQ(readSome(file, &more, 1, "a file"), 0U);  // all of it was taken
  std::string got = contents(memory);
  ASSERT_EQ(got.size(), kPages * kMemoryPage);
  for (auto [page, value] : {std::pair{0, 'a'}, {1, 'b'}, {2, '\0'}, {300, '\0'}, {511, 'c'}, {699, 'd'}})
    EXPECT_EQ(got.substr(static_cast<size_t>(page) * kMemoryPage, kMemoryPage),
              std::string(kMemoryPage, value));
}

TEST(SavedMemory, HoldsOnlyWhatIsNotZero) {
  // Two pages in a row are one record.
  EXPECT_EQ(saved().size(), 16 + 8 + 3 * 16 + 4 * kMemoryPage + 16);
  EXPECT_LT(static_cast<uint64_t>(statOf(memoryOf(1 << 18), "a file").st_blocks) * 512, kMemoryPage);
}

TEST(SavedMemory, EveryTruncationIsAnError) {
  std::string bytes = saved();
  for (size_t size = 0; size < bytes.size(); size += size < 128 ? 1 : 1021)
    EXPECT_EQ(errorOf(bytes.substr(0, size)), "cut off") << size;
}

TEST(SavedMemory, WhatIsNotTheFormatIsAnError) {
  const std::string wrong = "the saved memory is not in the format of this version";
  std::string bytes = saved(), head = bytes.substr(0, 24);
  EXPECT_EQ(errorOf(bytes), "");
  EXPECT_EQ(errorOf("X" + bytes.substr(1)), wrong);
  EXPECT_EQ(errorOf(bytes, kPages + 1), wrong);  // another size
  std::string page(kMemoryPage, 'x'), end = number(kPages * kMemoryPage) + number(0);
  EXPECT_EQ(errorOf(head + end), "");
  EXPECT_EQ(errorOf(head + number(1) + number(kMemoryPage) + page + end), wrong);
  EXPECT_EQ(errorOf(head + number(0) + number(1) + "x" + end), wrong);
  EXPECT_EQ(errorOf(head + number(kPages * kMemoryPage) + number(kMemoryPage) + page + end), wrong);
  EXPECT_EQ(errorOf(head + number(0) + number(~0ull - 4095) + page + end), wrong);
  EXPECT_EQ(errorOf(head + number(0) + number(0) + end), wrong);
  std::string twice = number(0) + number(kMemoryPage) + page;
  EXPECT_EQ(errorOf(head + twice + twice + end), wrong);
}

}  // namespace
}  // namespace cove
