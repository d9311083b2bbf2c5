#include "journal/schema.h"

#include <array>

#include "base/error.h"
#include "base/text.h"
#include "journal/database.h"

namespace cove {

namespace {

// Released steps never change; a new one is added at the end.
constexpr std::array<const char*, 1> kSteps = {R"sql(
  CREATE TABLE instance (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    spec       TEXT NOT NULL,               -- JSON (instance/spec.h), as resolved
    image      TEXT NOT NULL,               -- digest
    created_at INTEGER NOT NULL,            -- seconds since the epoch
    state      TEXT NOT NULL CHECK (state IN ('created', 'running', 'stopped', 'failed')),
    reason     TEXT NOT NULL DEFAULT '',    -- of failed
    pid        INTEGER NOT NULL DEFAULT 0,  -- of the supervisor while running, with its start time
    start_time INTEGER NOT NULL DEFAULT 0,
    accelerator TEXT NOT NULL DEFAULT ''    -- of the last start
  ) STRICT;

  CREATE TABLE operation (
    id         INTEGER PRIMARY KEY,
    kind       TEXT NOT NULL,
    subject    TEXT NOT NULL,               -- of messages: the instance's name
    arguments  TEXT NOT NULL,               -- JSON, all that recovery needs
    steps_done INTEGER NOT NULL DEFAULT 0
  ) STRICT;
)sql"};

int64_t schemaVersion(Database& database) {
  Query query(database, "PRAGMA user_version");
  query.next();
  return query.number(0);
}

}  // namespace

void checkSchemaVersion(Database& database) {
  int64_t version = schemaVersion(database);
  if (version > static_cast<int64_t>(kSteps.size()))
    throw Error(str("will not use the database of a newer version of cove (schema ", version,
                    "; this version knows ", kSteps.size(), ")"))
        .hint("Update cove, or choose another state directory with COVE_HOME.");
}

void migrateSchema(Database& database) {
  auto version = static_cast<size_t>(schemaVersion(database));
  if (version >= kSteps.size()) return;
  Database::Transaction transaction(database);
  for (size_t i = version; i < kSteps.size(); ++i) database.script(kSteps.at(i));
  database.script(str("PRAGMA user_version = ", kSteps.size()).c_str());
  transaction.commit();
}

}  // namespace cove
