#include "image/os.h"

#include <gmock/gmock.h>

#include "base/error.h"

namespace cove::image {
namespace {
using testing::HasSubstr;

Error failure(std::string_view text, std::string_view variant = {}) {
  try {
    parseOs(text, variant);
  } catch (const Error& e) {
    return e;
  }
  throw std::logic_error("was accepted");
}

TEST(Os, BothSpellings) {
  EXPECT_EQ(parseOs("debian:12").suite, "bookworm");
  Os os = parseOs("debian-13", "minimal");
  EXPECT_EQ(os.suite, "trixie");
  EXPECT_EQ(os.variant, "minimal");
  EXPECT_EQ(os.name(), "debian:13");
  EXPECT_EQ(parseOs("debian:12").variant, "default");
}

TEST(Os, UnknownSaysWhatIsKnown) {
  Error e = failure("debian:11");
  EXPECT_EQ(e.message(), "unknown operating system \"debian:11\"; known: debian:12, debian:13");
  EXPECT_EQ(e.status(), Exit::kUsage);
  EXPECT_THAT(failure("debain:12").hint(), HasSubstr("debian:12"));
  EXPECT_EQ(failure("haiku").hint(), "");
}

TEST(Os, VariantIsChecked) {
  Error e = failure("debian:12", "defualt");
  EXPECT_THAT(e.message(), HasSubstr("known: default, minimal"));
  EXPECT_EQ(e.hint(), "Did you mean default?");
}

TEST(Os, HostileTextIsEscapedAndCut) {
  EXPECT_THAT(failure("\x1b[31m").message(), HasSubstr("\\x1b[31m"));
  Error e = failure(std::string(100'000, 'x'));
  EXPECT_LT(e.message().size(), 200u);
  EXPECT_EQ(e.hint(), "");
  EXPECT_THROW(parseOs(""), Error);
  EXPECT_THROW(parseOs("debian:12 "), Error);
}

}  // namespace
}  // namespace cove::image
