// The database's tables, and how older ones become the present ones. PRAGMA user_version holds the number of
// steps that were applied.
#pragma once

namespace cove {

class Database;

// Throws where a newer version of cove wrote the database. Only reads.
void checkSchemaVersion(Database& database);
// Applies the missing steps in one transaction.
void migrateSchema(Database& database);

}  // namespace cove
