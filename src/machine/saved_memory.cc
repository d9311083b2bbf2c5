#include "machine/saved_memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <unistd.h>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {
static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic{"cove memory 1\n\0\0", 16};
constexpr uint64_t kBlock = 1 << 20;  // bytes of one record at most, as written
constexpr const char* kWhat = "the saved memory";

struct Record {
  uint64_t offset, length;
};

std::string_view bytesOf(const Record& record) {
  return {reinterpret_cast<const char*>(&record), sizeof record};
}

bool isZero(const char* page) { return page[0] == 0 && std::memcmp(page, page + 1, kMemoryPage - 1) == 0; }

size_t readAt(const Fd& fd, char* to, size_t size, uint64_t offset) {
  size_t got = 0;
  while (got < size) {
    ssize_t n = ::pread(fd.get(), to + got, size - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw sysError("read", kWhat);
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  return got;
}

// Pages of one block that are not zero, in runs.
void writeBlock(const MemorySink& sink, const char* block, uint64_t size, uint64_t offset) {
  for (uint64_t at = 0; at < size;) {
    if (isZero(block + at)) {
      at += kMemoryPage;
      continue;
    }
    uint64_t end = at;
    while (end < size && !isZero(block + end)) end += kMemoryPage;
    sink(bytesOf({offset + at, end - at}));
    sink({block + at, end - at});
    at = end;
  }
}

void writeAt(const Fd& memory, std::string_view data, uint64_t offset) {
  while (!data.empty()) {
    ssize_t n = ::pwrite(memory.get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw sysError("write", "the machine's memory");
    data.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
}

Error malformed() { return Error("the saved memory is not in the format of this version"); }
}  // namespace

void writeMemory(const Fd& memory, const MemorySink& sink) {
  auto size = static_cast<uint64_t>(statOf(memory, kWhat).st_size);
  if (size % kMemoryPage != 0) throw malformed();
  sink(kMagic);
  sink({reinterpret_cast<const char*>(&size), sizeof size});
  std::vector<char> block(kBlock);
  for (off_t begin = 0; (begin = ::lseek(memory.get(), begin, SEEK_DATA)) >= 0;) {
    off_t end = check(::lseek(memory.get(), begin, SEEK_HOLE), "read", kWhat);
    for (auto at = static_cast<uint64_t>(begin); at < static_cast<uint64_t>(end);) {
      size_t got = readAt(memory, block.data(), std::min(kBlock, static_cast<uint64_t>(end) - at), at);
      writeBlock(sink, block.data(), got / kMemoryPage * kMemoryPage, at);
      at += kBlock;
    }
    begin = end;
  }
  if (errno != ENXIO) throw sysError("read", kWhat);  // no data behind it: the end
  sink(bytesOf({size, 0}));
}

void readMemory(const MemorySource& source, const Fd& memory) {
  auto size = static_cast<uint64_t>(statOf(memory, kWhat).st_size);
  std::array<char, kMagic.size()> magic;
  source(magic.data(), magic.size());
  if (std::string_view(magic.data(), magic.size()) != kMagic) throw malformed();
  uint64_t saved;
  source(reinterpret_cast<char*>(&saved), sizeof saved);
  if (saved != size) throw malformed();
  std::vector<char> block(kBlock);
  for (uint64_t done = 0;;) {
    Record record;
    source(reinterpret_cast<char*>(&record), sizeof record);
    bool end = record.length == 0;
    if (record.offset < done || record.offset > size || record.length > size - record.offset ||
        (record.offset | record.length) % kMemoryPage != 0 || end != (record.offset == size))
      throw malformed();
    if (end) return;
    done = record.offset + record.length;
    for (uint64_t at = record.offset; at < done;) {
      size_t part = std::min(kBlock, done - at);
      source(block.data(), part);
      writeAt(memory, {block.data(), part}, at);
      at += part;
    }
  }
}

}  // namespace cove
