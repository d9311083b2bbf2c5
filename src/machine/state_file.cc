#include "machine/state_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sodium.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "base/error.h"
#include "machine/saved_memory.h"

namespace cove {

namespace {
constexpr std::string_view kMagic{"cove state 1\n\0\0\0", 16};
constexpr size_t kStateChunk = 256 * 1024;
constexpr size_t kOverhead = crypto_secretstream_xchacha20poly1305_ABYTES;
constexpr uint64_t kLargestKind = 64 * 1024, kLargestDevices = 64 << 20;
constexpr const char* kWhat = "the machine's state";
static_assert(crypto_secretstream_xchacha20poly1305_KEYBYTES == std::tuple_size_v<decltype(StateKey::key)>);

template <typename Bytes>
std::string_view view(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
template <typename Bytes>
unsigned char* raw(Bytes& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

Error damaged() { return Error("its saved state is damaged, or was written with another key"); }

class Encryption {
 public:
  Encryption(const Fd& file, const StateKey& key) : file_(file) {
    std::array<unsigned char, crypto_secretstream_xchacha20poly1305_HEADERBYTES> header;
    ::crypto_secretstream_xchacha20poly1305_init_push(&state_, header.data(), key.key.data());
    writeAll(file_, kMagic, kWhat);
    writeAll(file_, view(key.salt), kWhat);
    writeAll(file_, view(header), kWhat);
    plain_.reserve(kStateChunk);
  }
  ~Encryption() { ::sodium_memzero(&state_, sizeof state_); }
  Encryption(const Encryption&) = delete;

  void add(std::string_view bytes) {
    while (!bytes.empty()) {
      if (plain_.size() == kStateChunk) push(0);
      size_t part = std::min(bytes.size(), kStateChunk - plain_.size());
      plain_.insert(plain_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(part));
      bytes.remove_prefix(part);
    }
  }
  void addNumber(uint64_t number) { add({reinterpret_cast<const char*>(&number), sizeof number}); }
  void finish() { push(crypto_secretstream_xchacha20poly1305_TAG_FINAL); }

 private:
  void push(unsigned char tag) {
    unsigned long long size;
    ::crypto_secretstream_xchacha20poly1305_push(&state_, raw(cipher_), &size, raw(plain_), plain_.size(),
                                                 nullptr, 0, tag);
    writeAll(file_, view(cipher_).substr(0, size), kWhat);
    plain_.clear();
  }

  const Fd& file_;
  crypto_secretstream_xchacha20poly1305_state state_;
  std::vector<char> plain_, cipher_ = std::vector<char>(kStateChunk + kOverhead);
};

class Decryption {
 public:
  Decryption(const Fd& file, const StateKey& key) : file_(file) {
    check(::lseek(file.get(), 0, SEEK_SET), "read", kWhat);
    std::array<char, kMagic.size()> magic{};
    StateSalt salt{};
    std::array<unsigned char, crypto_secretstream_xchacha20poly1305_HEADERBYTES> header{};
    for (auto [to, size] :
         {std::pair(raw(magic), magic.size()), {salt.data(), salt.size()}, {header.data(), header.size()}})
      if (readSome(file, reinterpret_cast<char*>(to), size, kWhat) != size) throw damaged();
    if (view(magic) != kMagic || salt != key.salt ||
        ::crypto_secretstream_xchacha20poly1305_init_pull(&state_, header.data(), key.key.data()) != 0)
      throw damaged();
  }
  ~Decryption() { ::sodium_memzero(&state_, sizeof state_); }
  Decryption(const Decryption&) = delete;

  void take(char* to, size_t size) {
    while (size > 0) {
      if (at_ == size_) pull();
      size_t part = std::min(size, size_ - at_);
      std::memcpy(to, plain_.data() + at_, part);
      at_ += part;
      to += part;
      size -= part;
    }
  }
  uint64_t takeNumber(uint64_t limit) {
    uint64_t number;
    take(reinterpret_cast<char*>(&number), sizeof number);
    if (number > limit) throw damaged();
    return number;
  }
  void expectEnd() {
    if (at_ == size_ && !last_) pull();
    if (!last_ || at_ != size_) throw damaged();
  }

 private:
  void pull() {
    if (last_) throw damaged();
    size_t got = readSome(file_, cipher_.data(), cipher_.size(), kWhat);
    unsigned char tag;
    unsigned long long size;
    if (got < kOverhead || ::crypto_secretstream_xchacha20poly1305_pull(&state_, raw(plain_), &size, &tag,
                                                                        raw(cipher_), got, nullptr, 0) != 0)
      throw damaged();
    last_ = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
    if (!last_ && size != kStateChunk) throw damaged();
    at_ = 0;
    size_ = size;
  }

  const Fd& file_;
  crypto_secretstream_xchacha20poly1305_state state_;
  std::vector<char> plain_ = std::vector<char>(kStateChunk),
                    cipher_ = std::vector<char>(kStateChunk + kOverhead);
  size_t at_ = 0, size_ = 0;
  bool last_ = false;
};
}  // namespace

StateKey::~StateKey() { ::sodium_memzero(key.data(), key.size()); }

Fd packKey(const StateKey& key) {
  const std::string_view parts[] = {view(key.salt), view(key.key)};
  return makeSealedMemfd("key", parts);
}

StateKey unpackKey(const Fd& file) {
  StateKey key;
  for (auto* part : {&key.salt, &key.key}) {
    off_t at = part == &key.salt ? 0 : static_cast<off_t>(key.salt.size());
    if (::pread(file.get(), part->data(), part->size(), at) != static_cast<ssize_t>(part->size()))
      throw Error("cannot read the key of a machine's state");
  }
  return key;
}

void writeState(const Fd& file, const StateKey& key, std::string_view kind, const Fd& devices,
                const Fd& memory) {
  Encryption out(file, key);
  out.addNumber(kind.size());
  out.add(kind);
  check(::lseek(devices.get(), 0, SEEK_SET), "read", "the devices' state");
  std::string state = readAll(devices, kLargestDevices, "the devices' state");
  out.addNumber(state.size());
  out.add(state);
  writeMemory(memory, [&](std::string_view bytes) { out.add(bytes); });
  out.finish();
}

void forgetState(const Fd& dir) {
  for (const char* name : {kNextStateName, kSuspendedName})
    if (::unlinkat(dir.get(), name, 0) < 0 && errno != ENOENT) throw sysError("remove", name);
  check(::fsync(dir.get()), "flush", "the instance's directory");
}

StateSalt readSalt(const Fd& file) {
  StateSalt salt;
  if (::pread(file.get(), salt.data(), salt.size(), kMagic.size()) != static_cast<ssize_t>(salt.size()))
    throw damaged();
  return salt;
}

void readState(const Fd& file, const StateKey& key, std::string_view kind, const Fd& devices,
               const Fd& memory) {
  Decryption in(file, key);
  std::string text(in.takeNumber(kLargestKind), '\0');
  in.take(text.data(), text.size());
  if (text != kind) throw Error("it was saved on another kind of host");
  std::string state(in.takeNumber(kLargestDevices), '\0');
  in.take(state.data(), state.size());
  writeAll(devices, state, "the devices' state");
  readMemory([&](char* to, size_t size) { in.take(to, size); }, memory);
  in.expectEnd();
}

}  // namespace cove
