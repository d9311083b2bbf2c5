#include "journal/database.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "base/child.h"
#include "journal/test_support.h"

namespace cove {
namespace {

using testing::HasSubstr;

int64_t countOperations(Database& database) {
  Query query(database, "SELECT count(*) FROM operation");
  query.next();
  return query.number(0);
}

constexpr const char* kInsert = "INSERT INTO operation (kind, subject, arguments) VALUES (?, ?, ?)";

TEST(Database, IsPrivateAndKeepsRows) {
  TemporaryState state;
  {
    Database database(state.dir());
    database.execute(kInsert, "create", "a", std::string_view("x\0y", 3));
  }
  Database database(state.dir());
  Query query(database, "SELECT arguments FROM operation");
  ASSERT_TRUE(query.next());
  EXPECT_EQ(query.text(0), std::string("x\0y", 3));
  EXPECT_FALSE(query.next());
  struct stat st;
  ASSERT_EQ(::stat(state.path("cove.db").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
}

TEST(Database, TransactionRollsBackUnlessCommitted) {
  TemporaryState state;
  Database database(state.dir());
  {
    Database::Transaction transaction(database);
    database.execute(kInsert, "create", "a", "");
  }
  EXPECT_EQ(countOperations(database), 0);
}

TEST(Database, WhatFollowsAnUnflushedTransactionIsFlushed) {
  TemporaryState state;
  Database database(state.dir());
  auto flushes = [&database] {
    Query query(database, "PRAGMA synchronous");
    EXPECT_TRUE(query.next());
    return query.number(0);
  };
  EXPECT_EQ(flushes(), 2);
  for (bool committed : {true, false}) {
    {
      Database::Transaction transaction(database, Database::Durability::kUnflushed);
      EXPECT_EQ(flushes(), 1);
      if (committed) transaction.commit();
    }
    EXPECT_EQ(flushes(), 2);
  }
}

TEST(Database, WrongTypesAreRefused) {
  TemporaryState state;
  Database database(state.dir());
  database.execute(kInsert, "create", "a", "");
  EXPECT_THROW(database.execute("UPDATE operation SET steps_done = ?", "text"), Error);
}

TEST(Database, NewerVersionIsRefusedAndUntouched) {
  TemporaryState state;
  { Database(state.dir()).script("PRAGMA user_version = 999; PRAGMA journal_mode = DELETE"); }
  std::string before = readFile(state.path("cove.db"), 1 << 20);
  try {
    Database database(state.dir());
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_THAT(e.message(), HasSubstr("newer version of cove"));
  }
  EXPECT_EQ(readFile(state.path("cove.db"), 1 << 20), before);
}

TEST(Database, GarbageIsAnError) {
  TemporaryState state;
  writeFileAtomic(state.dir().fd, "cove.db", std::string(8192, 'x'), 0600);
  EXPECT_THROW(Database database(state.dir()), Error);
}

// A file size limit stands for the full disk: the write fails, and what was there stays.
TEST(Database, FailedWriteChangesNothing) {
  TemporaryState state;
  Child child = Child::fork([&] {
    Database database(state.dir());
    database.execute(kInsert, "create", "kept", "");
    struct rlimit limit {
      1, RLIM_INFINITY
    };
    ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      Database::Transaction transaction(database);
      database.execute(kInsert, "create", "lost", std::string(100'000, 'x'));
      transaction.commit();
      return 1;
    } catch (const Error&) {
    }
    return countOperations(database) == 1 ? 0 : 2;
  });
  EXPECT_TRUE(child.wait().ok());
  Database database(state.dir());
  EXPECT_EQ(countOperations(database), 1);
}

}  // namespace
}  // namespace cove
