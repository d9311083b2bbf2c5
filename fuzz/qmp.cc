// QEMU's side of the machine protocol, written by whoever took QEMU over.
#include "base/error.h"
#include "hypervisor/qmp_reader.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  cove::QmpReader reader;
  std::string_view text = cove::asText(data, size);
  try {
    // In two parts: lines arrive cut anywhere.
    for (std::string_view part : {text.substr(0, size / 3), text.substr(size / 3)}) {
      reader.feed(part);
      while (auto message = reader.next()) cove::require(message->data.size() <= cove::kQmpLine * 6);
    }
  } catch (const cove::Error&) {
  }
  return 0;
}
