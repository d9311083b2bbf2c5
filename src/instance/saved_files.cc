#include "instance/saved_files.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {
constexpr const char* kKeyName = "seal.key";
constexpr const char* kDescriptionName = "saved.json";
constexpr const char* kSealName = "seal";
constexpr int kVersion = 2;
constexpr size_t kLargestDescription = 64 * 1024;
constexpr off_t kLargestSmallFile = 64 << 20;

class Digest {
 public:
  explicit Digest(std::string_view key = {}) {
    ::crypto_generichash_init(&state_, reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                              kBytes);
  }
  void add(std::string_view bytes) {
    ::crypto_generichash_update(&state_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  }
  std::string finish() {
    std::array<unsigned char, kBytes> bytes;
    ::crypto_generichash_final(&state_, bytes.data(), bytes.size());
    std::array<char, 2 * kBytes + 1> text;
    return ::sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
  }

 private:
  static constexpr size_t kBytes = 32;
  crypto_generichash_state state_;
};

// From its beginning, whatever the descriptor's offset is; `each` gets every block.
template <typename Each>
void forBlocks(const Fd& file, const char* name, const Each& each) {
  std::vector<char> block(1 << 20);
  for (off_t at = 0;;) {
    ssize_t n = ::pread(file.get(), block.data(), block.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw sysError("read", name);
    if (n == 0) return;
    each(std::string_view(block.data(), static_cast<size_t>(n)));
    at += n;
  }
}

std::string digestOfFile(const Fd& dir, const char* name) {
  Digest digest;
  forBlocks(openBeneath(dir, name, O_RDONLY), name, [&](std::string_view block) { digest.add(block); });
  return digest.finish();
}

// Made when there is none. Wiped when it goes.
class SealKey {
 public:
  explicit SealKey(const Fd& store) {
    int fd = ::openat(store.get(), kKeyName, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
      ::randombytes_buf(bytes_.data(), bytes_.size());
      writeFileAtomic(store, kKeyName, view(), 0600);
      return;
    }
    Fd file(fd, "open", kKeyName);
    if (::read(file.get(), bytes_.data(), bytes_.size()) != static_cast<ssize_t>(bytes_.size()))
      throw Error("the key of saved machines is damaged").hint("Remove all of them:\n  cove prune --all");
  }
  ~SealKey() { ::sodium_memzero(bytes_.data(), bytes_.size()); }
  SealKey(const SealKey&) = delete;
  std::string sealOf(std::string_view text) const {
    Digest digest(view());
    digest.add(text);
    return digest.finish();
  }

 private:
  std::string_view view() const { return {bytes_.data(), bytes_.size()}; }
  std::array<char, 32> bytes_;
};

nlohmann::json readDescription(const Fd& store, const Fd& dir) {
  std::string text =
      readAll(openBeneath(dir, kDescriptionName, O_RDONLY), kLargestDescription, kDescriptionName);
  std::string seal = readAll(openBeneath(dir, kSealName, O_RDONLY), 256, kSealName);
  std::string expected = SealKey(store).sealOf(text);
  if (seal.size() != expected.size() || ::sodium_memcmp(seal.data(), expected.data(), seal.size()) != 0)
    throw Error("it does not bear the seal of this state directory");
  auto description = nlohmann::json::parse(text);
  if (description.at("version") != kVersion) throw Error("it is of another version");
  return description;
}

// Returns its digest.
std::string copySmallFile(const Fd& dir, const char* name, const Fd& to) {
  Fd file = openBeneath(dir, name, O_RDONLY);
  if (statOf(file, name).st_size > kLargestSmallFile) throw Error(str("its file ", name, " is too large"));
  Digest digest;
  forBlocks(file, name, [&](std::string_view block) {
    digest.add(block);
    writeAll(to, block, name);
  });
  return digest.finish();
}

void expectDigest(const nlohmann::json& description, const char* name, const std::string& digest) {
  if (description.at("files").at(name) != digest) throw Error(str("its file ", name, " is damaged"));
}
}  // namespace

std::string digestOf(std::string_view text) {
  Digest digest;
  digest.add(text);
  return digest.finish();
}

void sealSaved(const Fd& store, const Fd& dir, const std::string& madeOf) {
  nlohmann::json files;
  for (const char* name : kSavedFiles) {
    files[name] = digestOfFile(dir, name);
    check(::fchmodat(dir.get(), name, 0400, 0), "protect", name);
  }
  std::string text = nlohmann::json{
      {"version", kVersion},
      {"madeOf", nlohmann::json::parse(madeOf)},
      {"files", files}}.dump();
  writeFileAtomic(dir, kDescriptionName, text, 0400);
  writeFileAtomic(dir, kSealName, SealKey(store).sealOf(text), 0400);
}

std::string readMadeOf(const Fd& store, const Fd& dir) {
  return readDescription(store, dir).at("madeOf").dump();
}

void removeSealKey(const Fd& store) {
  if (::unlinkat(store.get(), kKeyName, 0) < 0 && errno != ENOENT) throw sysError("remove", kKeyName);
}

LoadedMachine::LoadedMachine(const Fd& dir, uint32_t memoryMiB)
    : dir_(dir.duplicate()),
      memory_(makeMemfd("saved-memory")),
      devices_(makeMemfd("saved-devices")),
      disk_(openBeneath(dir, kDiskName, O_RDONLY)),
      overlay_(makeMemfd("saved-overlay")) {
  check(::ftruncate(memory_.get(), static_cast<off_t>(memoryMiB) << 20), "make", "a machine's memory");
}

void LoadedMachine::fill(const Fd& store, const std::string& madeOf) {
  nlohmann::json description = readDescription(store, dir_);
  if (description.at("madeOf") != nlohmann::json::parse(madeOf)) throw Error("it is another machine's");
  expectDigest(description, kSavedDevices, copySmallFile(dir_, kSavedDevices, devices_));
  expectDigest(description, kSavedOverlay, copySmallFile(dir_, kSavedOverlay, overlay_));
  Digest memoryDigest, diskDigest;
  Fd file = openBeneath(dir_, kSavedMemory, O_RDONLY);
  readMemory(
      [&](char* to, size_t size) {
        if (readSome(file, to, size, kSavedMemory) != size) throw Error("its file memory is cut off");
        memoryDigest.add({to, size});
      },
      memory_);
  expectDigest(description, kSavedMemory, memoryDigest.finish());
  forBlocks(disk_, kDiskName, [&](std::string_view block) { diskDigest.add(block); });
  expectDigest(description, kDiskName, diskDigest.finish());
}

void LoadedMachine::freeze() {
  for (const Fd* file : {&memory_, &devices_, &overlay_}) sealMemfd(*file);
}

SavedMachine LoadedMachine::start() const { return {memory_.reopen(), devices_.reopen(), disk_.reopen()}; }

void LoadedMachine::writeOverlay(const Fd& disk) const {
  forBlocks(overlay_, kSavedOverlay, [&](std::string_view block) { writeAll(disk, block, kDiskName); });
}

uint64_t LoadedMachine::memoryBytes() const {
  uint64_t bytes = 0;
  for (const Fd* file : {&memory_, &devices_, &overlay_})
    bytes += static_cast<uint64_t>(statOf(*file, "memory").st_blocks) * 512;
  return bytes;
}

}  // namespace cove
