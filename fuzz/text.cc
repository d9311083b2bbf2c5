// Text that guests and users set: escaping, quoting, names, sizes, durations.
#include "base/text.h"

#include <string_view>

#include "require.h"

namespace {

using cove::require;

// What reaches a terminal holds no control character, whatever came in.
void checkEscaped(std::string_view text) {
  for (bool lines : {false, true}) {
    std::string escaped = cove::escapeForTerminal(text, lines);
    for (size_t i = 0; i < escaped.size(); i++) {
      unsigned char c = escaped[i];
      require((c >= 0x20 && c != 0x7f) || (lines && c == '\n'));
      // C1 controls are C2 80 to C2 9F in UTF-8.
      require(c != 0xc2 || i + 1 == escaped.size() || static_cast<unsigned char>(escaped[i + 1]) >= 0xa0);
    }
    require(escaped.size() <= text.size() * 10);
    require(cove::escapeForTerminal(escaped, lines) == escaped);
  }
}

void checkName(std::string_view text) {
  if (!cove::isValidName(text)) return;
  require(!text.empty() && text.size() <= 63 && text.front() >= 'a' && text.front() <= 'z');
  for (char c : text) require((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text = cove::asText(data, size);
  checkEscaped(text);
  checkName(text);
  if (auto quoted = cove::shellQuote(text)) require(quoted->find('\n') == std::string::npos);
  if (auto bytes = cove::parseSize(text)) cove::formatSize(*bytes);
  cove::parseDuration(text);
  return 0;
}
