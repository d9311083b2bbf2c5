#include "cove/go_template.h"

#include <cctype>

#include "base/text.h"
#include "cove/arguments.h"

namespace cove::cli {

namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

bool isFieldName(std::string_view name) {
  for (char c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) return false;
  }
  return !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0]));
}

}  // namespace

GoTemplate::GoTemplate(std::string_view text) {
  while (!text.empty()) {
    size_t open = text.find("{{");
    if (open != 0) {
      parts_.push_back({std::string(text.substr(0, open)), false, Form::kPlain});
      if (open == text.npos) return;
      text.remove_prefix(open);
    }
    size_t close = text.find("}}");
    if (close == text.npos) throw usageError("--format: {{ without }}");
    parts_.push_back(parseAction(text.substr(2, close - 2)));
    text.remove_prefix(close + 2);
  }
}

GoTemplate::Part GoTemplate::parseAction(std::string_view action) {
  std::string_view operand = trimmed(action);
  Form form = Form::kPlain;
  if (operand.starts_with("json ")) {
    form = Form::kJson;
    operand = trimmed(operand.substr(5));
  }
  bool whole = operand == "." && form == Form::kJson;
  if (whole || (operand.starts_with('.') && isFieldName(operand.substr(1)))) {
    return {std::string(operand.substr(1)), true, form};
  }
  throw usageError(str("--format: {{", escapeForTerminal(action), "}} is not understood"))
      .hint("Known are {{.Field}}, {{json .Field}} and {{json .}}.");
}

std::string GoTemplate::render(const Lookup& lookup) const {
  std::string result;
  for (const Part& part : parts_) result += part.isField ? lookup(part.text, part.form) : part.text;
  return result;
}

}  // namespace cove::cli
