#include "cove/output.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <strings.h>

#include "base/text.h"

namespace cove::cli {

namespace {

using Json = nlohmann::ordered_json;

Json toJson(const Value& value) {
  return std::visit([](const auto& v) { return Json(v); }, value);
}

Json toJson(const Record& record) {
  Json object = Json::object();
  for (const Field& field : record) object[field.name] = toJson(field.value);
  return object;
}

// ASCII only: controls, C1 and bidirectional marks become \uNNNN, invalid UTF-8 U+FFFD.
std::string dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', true, Json::error_handler_t::replace);
}

std::string plain(const Value& value) {
  if (auto text = std::get_if<std::string>(&value)) return *text;
  if (auto list = std::get_if<std::vector<std::string>>(&value)) {
    std::string joined;
    for (const std::string& item : *list) joined += (joined.empty() ? "" : " ") + item;
    return joined;
  }
  return dump(toJson(value));
}

const std::string& cell(const Field& field, std::string& storage) {
  if (!field.shown.empty()) return field.shown;
  return storage = plain(field.value);
}

// YAML holds JSON: each value is written as JSON writes it.
std::string yamlRecord(const Record& record, std::string_view first, std::string_view others) {
  std::string text;
  for (const Field& field : record) {
    text +=
        str(std::string(text.empty() ? first : others), field.name, ": ", dump(toJson(field.value)), "\n");
  }
  return text;
}

std::string render(const GoTemplate& format, const Record& record) {
  auto lookup = [&](std::string_view name, GoTemplate::Form form) {
    if (name.empty()) return dump(toJson(record));
    for (const Field& field : record) {
      if (std::string_view(field.name).size() != name.size()) continue;
      if (strncasecmp(field.name, name.data(), name.size()) != 0) continue;
      return form == GoTemplate::Form::kJson ? dump(toJson(field.value))
                                             : escapeForTerminal(plain(field.value));
    }
    std::string known;
    for (const Field& field : record) known += str(known.empty() ? "" : ", ", field.name);
    throw usageError(str("--format: there is no field .", std::string(name))).hint("Fields: " + known);
  };
  return format.render(lookup) + "\n";
}

// Code points; the text is valid UTF-8 as escapeForTerminal made it.
size_t width(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

std::string table(const std::vector<Record>& records) {
  std::vector<std::vector<std::string>> rows(1);
  std::string storage;
  for (const Record& record : records) {
    auto& row = rows.emplace_back();
    for (const Field& field : record) {
      if (!field.heading) continue;
      if (&record == &records.front()) rows.front().push_back(field.heading);
      row.push_back(cell(field, storage));
    }
  }
  return alignColumns(rows);
}

}  // namespace

std::string alignColumns(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> escaped = rows;
  std::vector<size_t> widths;
  for (auto& row : escaped) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = escapeForTerminal(row[i]);
      widths[i] = std::max(widths[i], width(row[i]));
    }
  }
  std::string text;
  for (const auto& row : escaped) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] - width(row[i]) + 2, ' ');
    }
    while (text.ends_with(' ')) text.pop_back();
    text += '\n';
  }
  return text;
}

void Output::declare(Arguments& arguments) {
  auto takeForm = [this](const std::string& text) {
    if (text != "table" && text != "json" && text != "yaml") {
      throw usageError(str("--output: \"", escapeForTerminal(text), "\" is none of table, json and yaml"));
    }
    form_ = text == "json" ? Form::kJson : text == "yaml" ? Form::kYaml : Form::kTable;
  };
  arguments.option("--output", "FORM", takeForm, "how to print: table, json or yaml")
      .brief('o')
      .oneOf({"table", "json", "yaml"});
  auto takeTemplate = [this](const std::string& text) { template_.emplace(text); };
  arguments.option("--format", "TEMPLATE", takeTemplate,
                   "a Go template for each result: {{.Field}}, {{json .Field}}, {{json .}}");
}

std::string Output::list(const std::vector<Record>& records) const {
  std::string text;
  if (template_) {
    for (const Record& record : records) text += render(*template_, record);
  } else if (form_ == Form::kJson) {
    Json array = Json::array();
    for (const Record& record : records) array.push_back(toJson(record));
    text = dump(array, 2) + "\n";
  } else if (form_ == Form::kYaml) {
    for (const Record& record : records) text += yamlRecord(record, "- ", "  ");
    if (text.empty()) text = "[]\n";
  } else if (!records.empty()) {
    text = table(records);
  }
  return text;
}

std::string Output::single(const Record& record) const {
  if (template_) return render(*template_, record);
  if (form_ == Form::kJson) return dump(toJson(record), 2) + "\n";
  if (form_ == Form::kYaml) return yamlRecord(record, "", "");
  std::vector<std::vector<std::string>> rows;
  std::string storage;
  for (const Field& field : record) {
    if (field.heading) rows.push_back({str(field.heading, ":"), cell(field, storage)});
  }
  return alignColumns(rows);
}

}  // namespace cove::cli
