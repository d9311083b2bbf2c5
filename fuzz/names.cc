// Names of operating systems and variants, as users type them.
#include "base/error.h"
#include "image/os.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text = cove::asText(data, size);
  size_t cut = std::min(text.find('\n'), size);
  try {
    cove::image::Os os = cove::image::parseOs(text.substr(0, cut), text.substr(std::min(cut + 1, size)));
    cove::image::Os same = cove::image::parseOs(os.name(), os.variant);
    cove::require(same.suite == os.suite && same.variant == os.variant);
  } catch (const cove::Error& error) {
    cove::require(error.message().find('\x1b') == std::string::npos);
  }
  return 0;
}
