// The daemon's database: SQLite in WAL mode, used by one process (the holder of life.lock).
//
// Every failure is an Error; a full disk says so and leaves the database as it was.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/paths.h"
#include "journal/reserve.h"

struct sqlite3;
struct sqlite3_stmt;

namespace cove {

class Database {
 public:
  // Opens or creates `name` (0600) and brings its schema up to date (schema.h). A database that a newer
  // version wrote is refused and not changed.
  explicit Database(const StateDir& dir, const char* name = kDatabaseName);
  Database(const Database&) = delete;
  ~Database();

  // Runs one statement, binding integers, texts and nullptr in order.
  template <typename... A>
  void execute(const char* sql, const A&... arguments);
  // Statements without arguments, separated by semicolons.
  void script(const char* sql);
  int64_t lastId() const;
  // Beside it; free where the disk is full.
  Reserve& reserve() { return reserve_; }

  // Flushed: on disk when commit() returns. Unflushed: survives the process, but not a power failure.
  enum class Durability { kFlushed, kUnflushed };
  // Rolled back unless committed. Not nested.
  class Transaction {
   public:
    explicit Transaction(Database& database, Durability durability = Durability::kFlushed);
    Transaction(const Transaction&) = delete;
    ~Transaction();
    void commit();

   private:
    Database& database_;
    Durability durability_;
    bool open_ = true;
  };

 private:
  friend class Query;
  void configure();
  Reserve reserve_;
  sqlite3* handle_ = nullptr;
};

// Rows of a SELECT (or RETURNING). Texts are copied out.
class Query {
 public:
  template <typename... A>
  Query(Database& database, const char* sql, const A&... arguments) : Query(database.handle_, sql) {
    int at = 0;
    (bind(++at, arguments), ...);
  }
  Query(const Query&) = delete;
  ~Query();

  bool next();  // false: no more rows
  int64_t number(int column) const;
  std::string text(int column) const;

 private:
  Query(sqlite3* handle, const char* sql);
  void bind(int at, int64_t value);
  void bind(int at, std::string_view value);
  void bind(int at, std::nullptr_t);
  template <typename T>
  requires std::is_integral_v<T>
  void bind(int at, T value) { bind(at, static_cast<int64_t>(value)); }

  sqlite3* handle_;
  sqlite3_stmt* statement_ = nullptr;
};

template <typename... A>
void Database::execute(const char* sql, const A&... arguments) {
  Query query(*this, sql, arguments...);
  while (query.next()) {
  }
}

}  // namespace cove
