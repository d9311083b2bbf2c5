// A saved machine's memory: what is accepted fills no more than the memory, and is written again as it was
// read.
#include "machine/saved_memory.h"

#include <string>
#include <unistd.h>

#include "base/error.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr off_t kSize = 16 * cove::kMemoryPage;
  cove::Fd file = cove::makeMemfd("file"), memory = cove::makeMemfd("memory");
  cove::writeAll(file, cove::asText(data, size), "file");
  cove::require(::ftruncate(memory.get(), kSize) == 0);
  std::string seen;
  try {
    cove::readMemory(file, memory, [&](std::string_view part) { seen += part; });
  } catch (const cove::Error&) {
    cove::require(cove::statOf(memory).st_size == kSize);
    return 0;
  }
  cove::require(seen == cove::asText(data, size));
  cove::require(cove::statOf(memory).st_size == kSize);
  return 0;
}
