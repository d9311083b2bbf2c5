#include "image/files.h"

#include <cerrno>
#include <sodium.h>
#include <unistd.h>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace cove::image {

DigestBuilder::DigestBuilder() : state_(new crypto_hash_sha256_state) { crypto_hash_sha256_init(state_); }
DigestBuilder::~DigestBuilder() { delete state_; }

void DigestBuilder::add(const std::string& name, const Fd& file) {
  std::string header = str(name.c_str(), " ", statOf(file, name).st_size, "\n");
  crypto_hash_sha256_update(state_, reinterpret_cast<const unsigned char*>(header.data()), header.size());
  std::vector<unsigned char> buffer(1 << 20);
  for (off_t at = 0;;) {
    ssize_t n = ::pread(file.get(), buffer.data(), buffer.size(), at);
    if (n < 0 && errno == EINTR) continue;
    check(n, "read", name);
    if (n == 0) return;
    crypto_hash_sha256_update(state_, buffer.data(), static_cast<size_t>(n));
    at += n;
  }
}

std::string DigestBuilder::finish() {
  unsigned char hash[crypto_hash_sha256_BYTES];
  crypto_hash_sha256_final(state_, hash);
  char hex[2 * sizeof hash + 1];
  return sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
}

bool isDigest(std::string_view text) {
  return text.size() == 2 * crypto_hash_sha256_BYTES &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace cove::image
