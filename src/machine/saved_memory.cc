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
void writeBlock(const Fd& file, const char* block, uint64_t size, uint64_t offset) {
  for (uint64_t at = 0; at < size;) {
    if (isZero(block + at)) {
      at += kMemoryPage;
      continue;
    }
    uint64_t end = at;
    while (end < size && !isZero(block + end)) end += kMemoryPage;
    writeAll(file, bytesOf({offset + at, end - at}), kWhat);
    writeAll(file, {block + at, end - at}, kWhat);
    at = end;
  }
}

class Reader {
 public:
  Reader(const Fd& file, const std::function<void(std::string_view)>& onBytes)
      : file_(file), onBytes_(onBytes) {}

  std::string_view take(char* to, size_t size) {
    if (readAt(file_, to, size, at_) != size) throw Error("the saved memory is cut off");
    at_ += size;
    onBytes_({to, size});
    return {to, size};
  }
  Record takeRecord() {
    Record record;
    take(reinterpret_cast<char*>(&record), sizeof record);
    return record;
  }
  bool atEnd() const {
    char more;
    return readAt(file_, &more, 1, at_) == 0;
  }

 private:
  const Fd& file_;
  const std::function<void(std::string_view)>& onBytes_;
  uint64_t at_ = 0;
};

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

void writeMemory(const Fd& memory, const Fd& file) {
  auto size = static_cast<uint64_t>(statOf(memory, kWhat).st_size);
  if (size % kMemoryPage != 0) throw malformed();
  writeAll(file, kMagic, kWhat);
  writeAll(file, {reinterpret_cast<const char*>(&size), sizeof size}, kWhat);
  std::vector<char> block(kBlock);
  for (off_t begin = 0; (begin = ::lseek(memory.get(), begin, SEEK_DATA)) >= 0;) {
    off_t end = check(::lseek(memory.get(), begin, SEEK_HOLE), "read", kWhat);
    for (auto at = static_cast<uint64_t>(begin); at < static_cast<uint64_t>(end);) {
      size_t got = readAt(memory, block.data(), std::min(kBlock, static_cast<uint64_t>(end) - at), at);
      writeBlock(file, block.data(), got / kMemoryPage * kMemoryPage, at);
      at += kBlock;
    }
    begin = end;
  }
  if (errno != ENXIO) throw sysError("read", kWhat);  // no data behind it: the end
  writeAll(file, bytesOf({size, 0}), kWhat);
}

void readMemory(const Fd& file, const Fd& memory, const std::function<void(std::string_view)>& onBytes) {
  auto size = static_cast<uint64_t>(statOf(memory, kWhat).st_size);
  Reader reader(file, onBytes);
  std::array<char, kMagic.size()> magic;
  if (reader.take(magic.data(), magic.size()) != kMagic) throw malformed();
  uint64_t saved;
  reader.take(reinterpret_cast<char*>(&saved), sizeof saved);
  if (saved != size) throw malformed();
  std::vector<char> block(kBlock);
  for (uint64_t done = 0;;) {
    Record record = reader.takeRecord();
    bool end = record.length == 0;
    if (record.offset < done || record.offset > size || record.length > size - record.offset ||
        (record.offset | record.length) % kMemoryPage != 0 || end != (record.offset == size))
      throw malformed();
    if (end) break;
    done = record.offset + record.length;
    for (uint64_t at = record.offset; at < done;) {
      std::string_view part = reader.take(block.data(), std::min(kBlock, done - at));
      writeAt(memory, part, at);
      at += part.size();
    }
  }
  if (!reader.atEnd()) throw malformed();
}

}  // namespace cove
