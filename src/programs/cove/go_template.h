// The part of Go's text/template that --format understands: text, {{.Field}}, {{json .}}, {{json .Field}}.
// Anything else is a usage error, so that no template prints something other than what Go would.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace cove::cli {

class GoTemplate {
 public:
  // Throws a usage error that shows the action at fault.
  explicit GoTemplate(std::string_view text);

  enum class Form { kPlain, kJson };
  // Gives the value of a field; the name is empty for the whole record.
  using Lookup = std::function<std::string(std::string_view field, Form form)>;
  std::string render(const Lookup& lookup) const;

 private:
  struct Part {
    std::string text;  // literal, or the field's name
    bool isField = false;
    Form form = Form::kPlain;
  };
  static Part parseAction(std::string_view action);
  std::vector<Part> parts_;
};

}  // namespace cove::cli
