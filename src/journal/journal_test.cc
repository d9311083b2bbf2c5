#include "journal/journal.h"

#include <kj/async.h>
#include <unistd.h>

#include "journal/test_support.h"
#include "rpc/error.h"

namespace cove {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class JournalTest : public testing::Test {
 protected:
  ~JournalTest() noexcept override {}  // KJ's destructors may throw, GoogleTest's may not
  Operation::Step step(const std::string& name) {
    return {name,
            [this, name] {
              trace_.push_back(name);
              return kj::Promise<void>(kj::READY_NOW);
            },
            [this, name] { trace_.push_back("undo " + name); }};
  }
  Operation::Step failing(const std::string& name) {
    Operation::Step result = step(name);
    result.run = [] { return kj::Promise<void>(toKj(Error("no luck"))); };
    return result;
  }
  Operation::Step waiting(const std::string& name) {
    Operation::Step result = step(name);
    result.run = [] { return kj::Promise<void>(kj::NEVER_DONE); };
    return result;
  }
  Operation operation(Operation::Policy policy, std::vector<Operation::Step> steps) {
    return {"create", "x", "{}", policy, std::move(steps), [] {}, [this] { trace_.push_back("end"); }};
  }

  kj::EventLoop loop_;
  kj::WaitScope scope_{loop_};
  TemporaryState state_;
  Database database_{state_.dir()};
  Log log_{openFile("/dev/null", O_WRONLY), "test"};
  Journal journal_{database_, log_};
  std::vector<std::string> trace_;
};

TEST_F(JournalTest, StepsRunInOrder) {
  journal_.perform(operation(Operation::Policy::kUndo, {step("a"), step("b")})).wait(scope_);
  EXPECT_THAT(trace_, ElementsAre("a", "b", "end"));
  EXPECT_THAT(journal_.interrupted(), IsEmpty());
}

TEST_F(JournalTest, FailureUndoesWhatWasBegun) {
  auto promise = journal_.perform(operation(Operation::Policy::kUndo, {step("a"), failing("b"), step("c")}));
  EXPECT_THROW(promise.wait(scope_), kj::Exception);
  EXPECT_THAT(trace_, ElementsAre("a", "undo b", "undo a"));
  EXPECT_THAT(journal_.interrupted(), IsEmpty());
}

TEST_F(JournalTest, TheReserveIsFreeForWhatMakesRoom) {
  auto isTaken = [this] { return ::access(state_.path("cove.db.reserve").c_str(), F_OK) == 0; };
  for (bool makesRoom : {false, true}) {
    Operation operation = this->operation(Operation::Policy::kFinish, {step("a")});
    operation.steps[0].run = [&]() -> kj::Promise<void> {
      EXPECT_EQ(isTaken(), !makesRoom);
      return kj::READY_NOW;
    };
    operation.makesRoom = makesRoom;
    EXPECT_TRUE(isTaken());
    journal_.perform(std::move(operation)).wait(scope_);
    EXPECT_TRUE(isTaken());
  }
}

TEST_F(JournalTest, DroppingUndoes) {
  {
    auto promise = journal_.perform(operation(Operation::Policy::kUndo, {step("a"), waiting("b")}));
    EXPECT_FALSE(promise.poll(scope_));
  }
  EXPECT_THAT(trace_, ElementsAre("a", "undo b", "undo a"));
  EXPECT_THAT(journal_.interrupted(), IsEmpty());
}

TEST_F(JournalTest, FailureStaysRecordedWhereItIsToFinish) {
  auto promise = journal_.perform(operation(Operation::Policy::kFinish, {step("a"), failing("b")}));
  EXPECT_THROW(promise.wait(scope_), kj::Exception);
  EXPECT_THAT(trace_, ElementsAre("a"));
  auto interrupted = journal_.interrupted();
  ASSERT_EQ(interrupted.size(), 1U);
  EXPECT_EQ(interrupted[0].stepsDone, 1U);
  trace_.clear();
  journal_.recover(interrupted[0], operation(Operation::Policy::kFinish, {step("a"), step("b"), step("c")}))
      .wait(scope_);
  EXPECT_THAT(trace_, ElementsAre("b", "c", "end"));
  EXPECT_THAT(journal_.interrupted(), IsEmpty());
}

TEST_F(JournalTest, FailedUndoIsTriedAtTheNextStart) {
  Operation bad = operation(Operation::Policy::kUndo, {step("a"), failing("b")});
  bad.steps[0].undo = [] { throw Error("not now"); };
  EXPECT_THROW(journal_.perform(std::move(bad)).wait(scope_), kj::Exception);
  auto interrupted = journal_.interrupted();
  ASSERT_EQ(interrupted.size(), 1U);
  trace_.clear();
  journal_.recover(interrupted[0], operation(Operation::Policy::kUndo, {step("a"), step("b")})).wait(scope_);
  EXPECT_THAT(trace_, ElementsAre("undo b", "undo a"));
  EXPECT_THAT(journal_.interrupted(), IsEmpty());
}

TEST_F(JournalTest, FailureAtTheEndUndoes) {
  Operation bad = operation(Operation::Policy::kUndo, {step("a")});
  bad.atEnd = [] { throw Error("the name is taken"); };
  EXPECT_THROW(journal_.perform(std::move(bad)).wait(scope_), kj::Exception);
  EXPECT_THAT(trace_, ElementsAre("a", "undo a"));
}

}  // namespace
}  // namespace cove
