// What the image builder's sandbox writes: progress, and what it says about its work.
#include "base/error.h"
#include "image/modules.h"
#include "image/request.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text = cove::asText(data, size);
  if (auto progress = cove::image::Progress::decode(text)) progress->encode();
  try {
    cove::image::Assembled::decode(text).encode();
  } catch (const cove::Error&) {
  }
  try {
    cove::image::Manifest::decode(text).encode();
  } catch (const cove::Error&) {
  }
  try {
    cove::image::ModuleIndex(text, text).loadOrder({"virtio_net", "virtio_blk"});
  } catch (const cove::Error&) {
  }
  return 0;
}
