// The database's rows of instances.
#pragma once
#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "base/child.h"
#include "instance/spec.h"
#include "journal/database.h"

namespace cove {

struct InstanceRecord {
  enum class State { kCreated, kRunning, kStopped, kFailed };
  std::string id;     // UUID
  InstanceSpec spec;  // with its name
  std::string image;  // digest
  int64_t createdAt = 0;
  State state = State::kCreated;
  std::string reason;       // of kFailed
  std::string accelerator;  // of its last start
  ProcessId supervisor;     // while kRunning

  const std::string& name() const { return spec.name; }
};

class Records {
 public:
  explicit Records(Database& database) : database_(database) {}

  std::vector<InstanceRecord> all() const;  // by name
  std::optional<InstanceRecord> find(const std::string& name) const;
  // An Error where there is none.
  InstanceRecord get(const std::string& name) const;
  // Names of the instances that use it.
  std::vector<std::string> usersOf(const std::string& image) const;

  void insert(const InstanceRecord& record);
  void remove(const std::string& id);
  void setRunning(const std::string& id, const ProcessId& supervisor, const std::string& accelerator);
  // kStopped, or kFailed with its reason.
  void setEnded(const std::string& id, InstanceRecord::State state, const std::string& reason);
  void setAccelerator(const std::string& id, const std::string& accelerator);
  void setSpec(const std::string& id, const InstanceSpec& spec);

 private:
  std::vector<InstanceRecord> select(const char* where, const std::string& value) const;
  Database& database_;
};

}  // namespace cove
