#include "journal/database.h"

#include <cerrno>
#include <sqlite3.h>

#include "base/error.h"
#include "base/text.h"
#include "journal/schema.h"

namespace cove {

namespace {

[[noreturn]] void fail(sqlite3* handle, std::string_view operation) {
  int code = sqlite3_errcode(handle) & 0xff;  // without the extended part
  if (code == SQLITE_FULL || (code == SQLITE_IOERR && sqlite3_system_errno(handle) == ENOSPC))
    throw Error(str("cannot ", operation, ": no space left for cove's database"))
        .hint("Free some space on the file system of cove's state directory.");
  const char* file = sqlite3_db_filename(handle, nullptr);
  Error error(
      str("cannot ", operation, ": ", sqlite3_errmsg(handle), " (", file != nullptr ? file : "no file", ")"));
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
    error.hint("It is damaged: restore it from a backup, or choose another state directory with COVE_HOME.");
  throw error;
}

}  // namespace

Database::Database(const StateDir& dir, const char* name) : reserve_(dir.fd, str(name, ".reserve")) {
  // Made by us, so that its mode does not depend on the umask; SQLite gives its other files the same mode.
  openAt(dir.fd, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  std::string path = str(dir.path, "/", name);
  try {
    constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(path.c_str(), &handle_, kFlags, nullptr) != SQLITE_OK)
      fail(handle_, str("open ", path));
    configure();
    reserve_.take();
  } catch (...) {
    sqlite3_close_v2(handle_);
    throw;
  }
}

void Database::configure() {
  script("PRAGMA locking_mode = EXCLUSIVE");  // one process: no shared memory file
  // Before anything is written: WAL mode itself would change a newer version's file.
  checkSchemaVersion(*this);
  script(
      "PRAGMA journal_mode = WAL;"
      "PRAGMA synchronous = FULL;"
      "PRAGMA temp_store = MEMORY;"
      "PRAGMA foreign_keys = ON;"
      "PRAGMA trusted_schema = OFF;"
      "PRAGMA cache_size = -512;");  // KiB
  migrateSchema(*this);
}

Database::~Database() { sqlite3_close_v2(handle_); }

void Database::script(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail(handle_, "use the database");
}

int64_t Database::lastId() const { return sqlite3_last_insert_rowid(handle_); }

Database::Transaction::Transaction(Database& database, Durability durability)
    : database_(database), durability_(durability) {
  database.script(durability == Durability::kFlushed ? "BEGIN IMMEDIATE"
                                                     : "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE");
}

Database::Transaction::~Transaction() {
  // Some errors (a full disk) have rolled it back already; then this fails and changes nothing.
  if (open_) sqlite3_exec(database_.handle_, "ROLLBACK", nullptr, nullptr, nullptr);
  // What follows is flushed again, be it a transaction or a statement of its own.
  if (durability_ == Durability::kUnflushed)
    sqlite3_exec(database_.handle_, "PRAGMA synchronous = FULL", nullptr, nullptr, nullptr);
}

void Database::Transaction::commit() {
  database_.script("COMMIT");
  open_ = false;
}

Query::Query(sqlite3* handle, const char* sql) : handle_(handle) {
  if (sqlite3_prepare_v2(handle, sql, -1, &statement_, nullptr) != SQLITE_OK) fail(handle, "prepare a query");
}

Query::~Query() { sqlite3_finalize(statement_); }

void Query::bind(int at, int64_t value) {
  if (sqlite3_bind_int64(statement_, at, value) != SQLITE_OK) fail(handle_, "bind a value");
}

void Query::bind(int at, std::string_view value) {
  if (sqlite3_bind_text64(statement_, at, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8) !=
      SQLITE_OK)
    fail(handle_, "bind a text");
}

void Query::bind(int at, std::nullptr_t) {
  if (sqlite3_bind_null(statement_, at) != SQLITE_OK) fail(handle_, "bind nothing");
}

bool Query::next() {
  int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) fail(handle_, "use the database");
  return false;
}

int64_t Query::number(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Query::text(int column) const {
  auto data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return {data == nullptr ? "" : data, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

}  // namespace cove
