#include "hypervisor/qmp_reader.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {
using nlohmann::json;

Error unexpected(const std::string& what) { return Error("QEMU broke its protocol: " + what); }

std::string textOf(const json& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_string()) throw unexpected(str("no text in ", key));
  return found->get<std::string>();
}

std::string objectOf(const json& message, const char* key) {
  auto found = message.find(key);
  if (found == message.end()) return "{}";
  if (!found->is_object()) throw unexpected(str(key, " is no object"));
  return found->dump();
}

json parseBounded(std::string_view line) {
  auto shallow = [](int depth, json::parse_event_t, json&) {
    if (depth > kQmpDepth) throw unexpected("too deep a value");
    return true;
  };
  try {
    return json::parse(line, shallow);
  } catch (const json::exception&) {
    throw unexpected("a line is not JSON");
  }
}
}  // namespace

QmpMessage parseQmpMessage(std::string_view line) {
  json message = parseBounded(line);
  if (!message.is_object()) throw unexpected("a line is no object");
  QmpMessage result;
  if (message.contains("QMP")) {
    result.kind = QmpMessage::Kind::kGreeting;
    result.data = objectOf(message, "QMP");
  } else if (message.contains("event")) {
    result.kind = QmpMessage::Kind::kEvent;
    result.name = textOf(message, "event");
    result.data = objectOf(message, "data");
  } else {
    auto id = message.find("id");
    if (id == message.end() || !id->is_number_unsigned()) throw unexpected("an answer without a number");
    result.id = id->get<uint64_t>();
    if (auto error = message.find("error"); error != message.end()) {
      if (!error->is_object()) throw unexpected("an error is no object");
      result.kind = QmpMessage::Kind::kFailure;
      result.name = textOf(*error, "class");
      result.text = textOf(*error, "desc");
    } else if (auto value = message.find("return"); value != message.end()) {
      result.kind = QmpMessage::Kind::kReply;
      result.data = value->dump();
    } else {
      throw unexpected("neither a reply, an error nor an event");
    }
  }
  return result;
}

std::string formatQmpCommand(uint64_t id, std::string_view name, std::string_view arguments) {
  json command = {{"execute", name}, {"id", id}};
  if (!arguments.empty()) command["arguments"] = json::parse(arguments);
  return command.dump() + "\r\n";
}

void QmpReader::feed(std::string_view bytes) { buffer_ += bytes; }

std::optional<QmpMessage> QmpReader::next() {
  for (;;) {
    size_t end = buffer_.find('\n', scanned_);
    if (end == std::string::npos) {
      scanned_ = buffer_.size();
      if (buffer_.size() > kQmpLine) throw unexpected("a line is too long");
      return std::nullopt;
    }
    std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    scanned_ = 0;
    if (line.size() > kQmpLine) throw unexpected("a line is too long");
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) return parseQmpMessage(line);
  }
}

}  // namespace cove
