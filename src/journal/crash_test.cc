// Kills the process before, within and after every step of an operation; the next one finishes or undoes it.
#include <csignal>
#include <kj/async.h>
#include <unistd.h>

#include "base/child.h"
#include "journal/journal.h"
#include "journal/test_support.h"

namespace cove {
namespace {

constexpr int kSteps = 3;

// Three steps, each of which makes a file in two halves, and ends in a row. Its process dies at `crashAt`:
// each step is passed at three points, and two more lie around the end.
class FileOperation {
 public:
  FileOperation(const TemporaryState& state, Database& database, int crashAt)
      : state_(state), database_(database), crashAt_(crashAt) {}
  static constexpr int kPoints = 3 * kSteps + 2;

  Operation build(Operation::Policy policy) {
    Operation operation{"test", "files", "{}", policy, {}, [] {}, [] {}};
    for (int i = 0; i < kSteps; ++i)
      operation.steps.push_back({str("file ", i),
                                 [this, i] { return make(i), kj::Promise<void>(kj::READY_NOW); },
                                 [this, i] { ::unlink(state_.path(str("file", i)).c_str()); }});
    operation.atEnd = [this] {
      database_.execute(
          "INSERT INTO instance (id, name, spec, image, created_at, state) "
          "VALUES ('i', 'n', '{}', '', 0, 'created')");
      crash(3 * kSteps + 1);
    };
    return operation;
  }

 private:
  void make(int i) {
    crash(3 * i + 1);
    Fd file = openAt(state_.dir().fd, str("file", i), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    writeAll(file, "ha", "half");
    crash(3 * i + 2);
    writeAll(file, "lf", "half");
    crash(3 * i + 3);
  }
  void crash(int point) const {
    if (point == crashAt_) ::kill(::getpid(), SIGKILL);
  }
  const TemporaryState& state_;
  Database& database_;
  int crashAt_;
};

int countRows(Database& database) {
  Query query(database, "SELECT count(*) FROM instance");
  query.next();
  return static_cast<int>(query.number(0));
}

int countFiles(const TemporaryState& state) {
  int count = 0;
  for (int i = 0; i < kSteps; ++i) {
    std::string path = state.path(str("file", i));
    if (::access(path.c_str(), F_OK) != 0) continue;
    EXPECT_EQ(readFile(path, 100), "half");
    ++count;
  }
  return count;
}

// Runs `body` with a journal in a process of its own, as each daemon has.
Ended inDaemon(const TemporaryState& state, int crashAt,
               const std::function<void(Journal&, FileOperation&, kj::WaitScope&)>& body) {
  return Child::fork([&] {
           kj::EventLoop loop;
           kj::WaitScope scope(loop);
           Database database(state.dir());
           Log log(openFile("/dev/null", O_WRONLY), "test");
           Journal journal(database, log);
           FileOperation files(state, database, crashAt);
           body(journal, files, scope);
           return 0;
         })
      .wait();
}

class Crash : public testing::TestWithParam<std::tuple<Operation::Policy, int>> {};

TEST_P(Crash, IsRecoveredByTheNextDaemon) {
  auto [policy, point] = GetParam();
  TemporaryState state;
  Ended ended = inDaemon(state, point, [p = policy](Journal& journal, FileOperation& files, auto& scope) {
    journal.perform(files.build(p)).wait(scope);
  });
  bool crashed = point <= 3 * kSteps + 1;
  ASSERT_EQ(ended.signal, crashed ? SIGKILL : 0);
  // The recovery is killed at the same point too, and recovered in its turn.
  for (int crashAt : {point, 0})
    inDaemon(state, crashAt, [p = policy](Journal& journal, FileOperation& files, auto& scope) {
      for (auto& interrupted : journal.interrupted())
        journal.recover(interrupted, files.build(p)).wait(scope);
    });

  Database database(state.dir());
  Log log(openFile("/dev/null", O_WRONLY), "test");
  EXPECT_THAT(Journal(database, log).interrupted(), testing::IsEmpty());
  bool done = policy == Operation::Policy::kFinish || !crashed;
  EXPECT_EQ(countRows(database), done ? 1 : 0);
  EXPECT_EQ(countFiles(state), done ? kSteps : 0);
}

INSTANTIATE_TEST_SUITE_P(EveryStep, Crash,
                         testing::Combine(testing::Values(Operation::Policy::kUndo,
                                                          Operation::Policy::kFinish),
                                          testing::Range(1, FileOperation::kPoints + 1)));

}  // namespace
}  // namespace cove
