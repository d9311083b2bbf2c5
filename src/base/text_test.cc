#include "base/text.h"

#include <gtest/gtest.h>

namespace cove {
namespace {

TEST(Text, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(escapeForTerminal("plain äöü 漢 ✓"), "plain äöü 漢 ✓");
  EXPECT_EQ(escapeForTerminal("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(escapeForTerminal("a\u009bb"), "a\\u{9b}b");
  EXPECT_EQ(escapeForTerminal("a\u202eb\u2066c"), "a\\u{202e}b\\u{2066}c");
  EXPECT_EQ(escapeForTerminal("a\r\nb"), "a\\x0d\\x0ab");
  EXPECT_EQ(escapeForTerminal("a\r\nb", true), "a\\x0d\nb");
  EXPECT_EQ(escapeForTerminal(std::string_view("\0x\x7f", 3)), "\\x00x\\x7f");
}

TEST(Text, EscapesInvalidUtf8ByteByByte) {
  EXPECT_EQ(escapeForTerminal("\xff"), "\\xff");
  EXPECT_EQ(escapeForTerminal("\xc0\x80"), "\\xc0\\x80");           // overlong
  EXPECT_EQ(escapeForTerminal("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // surrogate
  EXPECT_EQ(escapeForTerminal("\xe2\x82"), "\\xe2\\x82");           // cut short
  EXPECT_EQ(escapeForTerminal("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
}

TEST(Text, QuotesForShells) {
  EXPECT_EQ(shellQuote("abc/d-e=f"), "abc/d-e=f");
  EXPECT_EQ(shellQuote(""), "''");
  EXPECT_EQ(shellQuote("a b$c"), "'a b$c'");
  EXPECT_EQ(shellQuote("it's"), "'it'\\''s'");
  EXPECT_EQ(shellQuote("a\nb"), std::nullopt);
  EXPECT_EQ(shellQuote("a\xff"), std::nullopt);
}

TEST(Text, Sizes) {
  EXPECT_EQ(parseSize("512"), 512u);
  EXPECT_EQ(parseSize("4GiB"), 4ull << 30);
  EXPECT_EQ(parseSize("4g"), 4ull << 30);
  EXPECT_EQ(parseSize("100MB"), 100ull << 20);
  EXPECT_EQ(parseSize(""), std::nullopt);
  EXPECT_EQ(parseSize("G"), std::nullopt);
  EXPECT_EQ(parseSize("-1"), std::nullopt);
  EXPECT_EQ(parseSize("1GiBx"), std::nullopt);
  EXPECT_EQ(parseSize("18446744073709551616"), std::nullopt);
  EXPECT_EQ(parseSize("99999999T"), std::nullopt);
  EXPECT_EQ(formatSize(1536ull << 20), "1.5 GiB");
}

TEST(Text, Durations) {
  EXPECT_EQ(parseDuration("90"), 90000u);
  EXPECT_EQ(parseDuration("250ms"), 250u);
  EXPECT_EQ(parseDuration("5m"), 300000u);
  EXPECT_EQ(parseDuration("5x"), std::nullopt);
  EXPECT_EQ(parseDuration("18446744073709551615d"), std::nullopt);
}

TEST(Text, Names) {
  EXPECT_TRUE(isValidName("a"));
  EXPECT_TRUE(isValidName("web-1"));
  EXPECT_TRUE(isValidName(std::string(63, 'a')));
  for (const char* bad : {"", "-a", "a-", "1a", "A", "a_b", "a.b", "../a", "a/b", "a b", "ä", "a\n"})
    EXPECT_FALSE(isValidName(bad)) << bad;
  EXPECT_FALSE(isValidName(std::string(64, 'a')));
  EXPECT_FALSE(isValidName(std::string(300, 'a')));
}

}  // namespace
}  // namespace cove
