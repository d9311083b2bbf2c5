// Text: made, quoted for shells, and escaped before it reaches a terminal.
#pragma once
#include <kj/string.h>
#include <optional>
#include <string>
#include <string_view>

namespace cove {

namespace internal {
template <typename T>
decltype(auto) piece(T&& part) {
  if constexpr (std::is_same_v<std::decay_t<T>, std::string_view>)
    return kj::arrayPtr(part.data(), part.size());  // unknown to kj::str
  else
    return std::forward<T>(part);
}
}  // namespace internal

template <typename... A>
std::string str(A&&... parts) {
  kj::String text = kj::str(internal::piece(std::forward<A>(parts))...);
  return {text.begin(), text.size()};
}

// Safe for a terminal: C0, C1, DEL, bidirectional and other invisible formatting marks and invalid UTF-8
// become \xNN or \u{N}; newline stays only where `lines` says so. Everything that a guest, a log, a template
// or the network can set passes here before it is printed, except in run, shell and console.
std::string escapeForTerminal(std::string_view text, bool lines = false);

// One word of a POSIX shell. nullopt when it holds control or non-UTF-8 bytes: then no command line is shown.
std::optional<std::string> shellQuote(std::string_view word);

// "1.5 GiB"; and back: a number with K, M, G or T, with or without "iB" or "B" (powers of 1024).
std::string formatSize(uint64_t bytes);
std::optional<uint64_t> parseSize(std::string_view text);
// "90s", "5m", "2h", "1d", bare seconds; in milliseconds.
std::optional<uint64_t> parseDuration(std::string_view text);
// "3 minutes ago" like ages: "12 s", "5 min", "3 h", "2 days".
std::string formatAge(int64_t seconds);

// Names of instances, images' variants, snapshots: 1 to 63 of a-z, 0-9 and '-', beginning with a letter,
// not ending with '-': a host name label (RFC 1123) that no shell, path or configuration file can misread.
bool isValidName(std::string_view name);

}  // namespace cove
