#include "base/text.h"

#include <array>
#include <cstdio>

namespace cove {

namespace {

// Decodes one UTF-8 sequence at text[at]; 0 bytes taken when it is invalid (overlong forms, surrogates and
// values above U+10FFFF included).
struct Decoded {
  uint32_t codePoint = 0;
  size_t bytes = 0;
};
Decoded decode(std::string_view text, size_t at) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byte(at);
  if (lead < 0x80) return {lead, 1};
  size_t length = lead >= 0xf0 && lead < 0xf5   ? 4
                  : lead >= 0xe0 && lead < 0xf0 ? 3
                  : lead >= 0xc2 && lead < 0xe0 ? 2
                                                : 0;
  if (length == 0 || at + length > text.size()) return {};
  uint32_t value = lead & (0xffU >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(at + i) & 0x3fU);
  }
  constexpr std::array<uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return {};
  return {value, length};
}

// C0, DEL, C1 (Unicode category Cc), and format characters that reorder, hide or split text: Cf of the
// bidirectional algorithm (UAX #9), zero-width ones, line and paragraph separators, tags.
bool isUnsafe(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || c == 0x180e ||
         (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
         c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

}  // namespace

std::string escapeForTerminal(std::string_view text, bool lines) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    Decoded d = decode(text, at);
    char escaped[16];
    if (d.bytes == 0) {
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(text[at]));
      result += escaped;
      ++at;
      continue;
    }
    if (!isUnsafe(d.codePoint) || (lines && d.codePoint == '\n')) {
      result.append(text.substr(at, d.bytes));
    } else {
      std::snprintf(escaped, sizeof escaped, d.codePoint < 0x80 ? "\\x%02x" : "\\u{%x}", d.codePoint);
      result += escaped;
    }
    at += d.bytes;
  }
  return result;
}

std::optional<std::string> shellQuote(std::string_view word) {
  for (size_t at = 0; at < word.size();) {
    Decoded d = decode(word, at);
    if (d.bytes == 0 || isUnsafe(d.codePoint)) return std::nullopt;
    at += d.bytes;
  }
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) return std::string(word);
  std::string result = "'";
  for (char c : word) {
    if (c == '\'')
      result += "'\\''";
    else
      result += c;
  }
  return result + "'";
}

std::string formatSize(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) value /= 1024, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

namespace {
// Digits at the front of `text`, which are removed; nullopt when there are none or they overflow.
std::optional<uint64_t> takeNumber(std::string_view& text) {
  uint64_t value = 0;
  size_t digits = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits)
    if (__builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, static_cast<uint64_t>(text[digits] - '0'), &value))
      return std::nullopt;
  if (digits == 0) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}
}  // namespace

std::optional<uint64_t> parseSize(std::string_view text) {
  std::optional<uint64_t> value = takeNumber(text);
  if (!value) return std::nullopt;
  if (text.empty() || text == "B") return value;
  constexpr std::string_view kUnits = "KMGT";
  size_t unit = kUnits.find(text[0] >= 'a' && text[0] <= 'z' ? static_cast<char>(text[0] - 32) : text[0]);
  text.remove_prefix(1);
  if (unit == std::string_view::npos || !(text.empty() || text == "B" || text == "iB")) return std::nullopt;
  uint64_t result;
  if (__builtin_mul_overflow(*value, uint64_t{1} << (10 * (unit + 1)), &result)) return std::nullopt;
  return result;
}

std::optional<uint64_t> parseDuration(std::string_view text) {
  std::optional<uint64_t> value = takeNumber(text);
  if (!value) return std::nullopt;
  uint64_t factor = text == "ms"                  ? 1
                    : text.empty() || text == "s" ? 1000
                    : text == "m"                 ? 60'000
                    : text == "h"                 ? 3'600'000
                    : text == "d"                 ? 86'400'000
                                                  : 0;
  uint64_t result;
  if (factor == 0 || __builtin_mul_overflow(*value, factor, &result)) return std::nullopt;
  return result;
}

std::string formatAge(int64_t seconds) {
  if (seconds < 120) return str(seconds < 0 ? 0 : seconds, " s");
  if (seconds < 7200) return str(seconds / 60, " min");
  if (seconds < 172800) return str(seconds / 3600, " h");
  return str(seconds / 86400, " days");
}

bool isValidName(std::string_view name) {
  if (name.empty() || name.size() > 63 || name[0] < 'a' || name[0] > 'z' || name.back() == '-') return false;
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

}  // namespace cove
