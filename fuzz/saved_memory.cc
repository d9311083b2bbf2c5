// A saved machine's memory: what is accepted fills no more than the memory.
#include "machine/saved_memory.h"

#include <cstring>
#include <string_view>
#include <unistd.h>

#include "base/error.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr off_t kSize = 16 * cove::kMemoryPage;
  cove::Fd memory = cove::makeMemfd("memory");
  cove::require(::ftruncate(memory.get(), kSize) == 0);
  std::string_view left = cove::asText(data, size);
  auto take = [&](char* to, size_t wanted) {
    if (left.size() < wanted) throw cove::Error("cut off");
    std::memcpy(to, left.data(), wanted);
    left.remove_prefix(wanted);
  };
  try {
    cove::readMemory(take, memory);
  } catch (const cove::Error&) {
    cove::require(cove::statOf(memory).st_size == kSize);
    return 0;
  }
  cove::require(cove::statOf(memory).st_size == kSize);
  return 0;
}
