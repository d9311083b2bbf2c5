// Results on stdout: --output table|json|yaml and --format.
//
// A Record has named values. In JSON and YAML all of them appear, under their names; --format finds them by
// name in any case ({{.Name}}); a table has the ones with a heading. Text is escaped for terminals: in JSON
// and YAML as \u00NN inside of strings, so that it comes back whole.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cove/arguments.h"
#include "cove/go_template.h"

namespace cove::cli {

using Value = std::variant<std::string, int64_t, bool, std::vector<std::string>>;

struct Field {
  const char* name;  // "diskUsed"
  Value value;
  const char* heading = nullptr;  // "DISK USED"; none: not in tables
  std::string shown = {};         // in tables, where it differs from the value
};
using Record = std::vector<Field>;

class Output {
 public:
  void declare(Arguments& arguments);

  // One JSON array or YAML sequence, one line a record under --format.
  std::string list(const std::vector<Record>& records) const;
  // One JSON object or YAML mapping; as a table, a line a value.
  std::string single(const Record& record) const;
  bool isTable() const { return form_ == Form::kTable && !template_; }

 private:
  enum class Form { kTable, kJson, kYaml };
  Form form_ = Form::kTable;
  std::optional<GoTemplate> template_;
};

// Rows of cells, columns aligned; cells are escaped. The first row is the heading.
std::string alignColumns(const std::vector<std::vector<std::string>>& rows);

}  // namespace cove::cli
