#include "instance/records.h"

#include <array>

#include "base/error.h"
#include "base/suggest.h"
#include "base/text.h"

namespace cove {

namespace {
constexpr std::array kStates = {"created", "running", "stopped", "failed"};

const char* nameOf(InstanceRecord::State state) { return kStates.at(static_cast<size_t>(state)); }

InstanceRecord::State stateOf(std::string_view name) {
  for (size_t i = 0; i < kStates.size(); ++i)
    if (name == kStates.at(i)) return static_cast<InstanceRecord::State>(i);
  throw Error(str("cannot read an instance's record: unknown state ", name));
}

constexpr const char* kColumns =
    "SELECT id, name, spec, image, created_at, state, reason, pid, start_time, accelerator FROM instance";
}  // namespace

std::vector<InstanceRecord> Records::select(const char* where, const std::string& value) const {
  std::vector<InstanceRecord> result;
  Query query(database_, str(kColumns, " WHERE ", where, " ORDER BY name").c_str(), value);
  while (query.next()) {
    InstanceRecord record;
    record.id = query.text(0);
    record.spec = decodeSpec(query.text(2));
    record.spec.name = query.text(1);
    record.image = query.text(3);
    record.createdAt = query.number(4);
    record.state = stateOf(query.text(5));
    record.reason = query.text(6);
    record.supervisor = {static_cast<pid_t>(query.number(7)), static_cast<uint64_t>(query.number(8))};
    record.accelerator = query.text(9);
    result.push_back(std::move(record));
  }
  return result;
}

std::vector<InstanceRecord> Records::all() const { return select("id <> ?", ""); }

std::optional<InstanceRecord> Records::find(const std::string& name) const {
  auto found = select("name = ?", name);
  if (found.empty()) return std::nullopt;
  return found.front();
}

InstanceRecord Records::get(const std::string& name) const {
  if (auto found = find(name)) return *found;
  std::vector<std::string> names;
  for (const InstanceRecord& record : all()) names.push_back(record.name());
  std::string meant = didYouMean(name, names);
  throw Error("there is no instance " + escapeForTerminal(name.substr(0, 64)))
      .hint(meant.empty() ? "See: cove list" : meant);
}

std::vector<std::string> Records::usersOf(const std::string& image) const {
  std::vector<std::string> names;
  for (const InstanceRecord& record : select("image = ?", image)) names.push_back(record.name());
  return names;
}

void Records::insert(const InstanceRecord& record) {
  database_.execute(
      "INSERT INTO instance (id, name, spec, image, created_at, state, accelerator) VALUES (?, ?, ?, ?, ?, "
      "?, ?)",
      record.id, record.name(), encodeSpec(record.spec), record.image, record.createdAt, nameOf(record.state),
      record.accelerator);
}

void Records::remove(const std::string& id) { database_.execute("DELETE FROM instance WHERE id = ?", id); }

void Records::setRunning(const std::string& id, const ProcessId& supervisor, const std::string& accelerator) {
  // A power failure may forget it: then nothing runs, and what the row said before is as good.
  Database::Transaction transaction(database_, Database::Durability::kUnflushed);
  database_.execute(
      "UPDATE instance SET state = 'running', reason = '', pid = ?, start_time = ?, accelerator = ? WHERE id "
      "= ?",
      supervisor.pid, supervisor.startTime, accelerator, id);
  transaction.commit();
}

void Records::setEnded(const std::string& id, InstanceRecord::State state, const std::string& reason) {
  database_.execute("UPDATE instance SET state = ?, reason = ?, pid = 0, start_time = 0 WHERE id = ?",
                    nameOf(state), reason, id);
}

void Records::setAccelerator(const std::string& id, const std::string& accelerator) {
  database_.execute("UPDATE instance SET accelerator = ? WHERE id = ?", accelerator, id);
}

void Records::setSpec(const std::string& id, const InstanceSpec& spec) {
  database_.execute("UPDATE instance SET spec = ? WHERE id = ?", encodeSpec(spec), id);
}

}  // namespace cove
