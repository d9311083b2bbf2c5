// The QEMU Machine Protocol's input: JSON objects, one a line. QEMU is run by us but fed by the guest: what
// it sends is bounded and checked, and whatever is not exactly the protocol is an Error. Source: QEMU's
// docs/interop/qmp-spec.txt.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cove {

inline constexpr size_t kQmpLine = 256 * 1024;  // the longest line that is taken
inline constexpr int kQmpDepth = 32;            // the deepest nesting

struct QmpMessage {
  enum class Kind { kGreeting, kReply, kFailure, kEvent };
  Kind kind = Kind::kEvent;
  uint64_t id = 0;   // of replies and failures
  std::string name;  // of an event; the class of a failure
  std::string text;  // a failure's description
  std::string data;  // a reply's or an event's payload, as JSON; "{}" when there is none
};

// One line without its line end.
QmpMessage parseQmpMessage(std::string_view line);
// Command `name` with `arguments` (a JSON object, or empty), as a line with its line end.
std::string formatQmpCommand(uint64_t id, std::string_view name, std::string_view arguments);

// Cuts a byte stream into lines.
class QmpReader {
 public:
  void feed(std::string_view bytes);
  // The next message that is complete, if there is one.
  std::optional<QmpMessage> next();

 private:
  std::string buffer_;
  size_t scanned_ = 0;  // no line end before this
};

}  // namespace cove
