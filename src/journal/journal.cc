#include "journal/journal.h"

#include "base/text.h"
#include "rpc/co.h"

namespace cove {

// An operation under way. Undone by its destructor unless it ended or is to be finished.
class Journal::Running {
 public:
  Running(Journal& journal, int64_t id, Operation operation, size_t stepsDone)
      : journal_(journal), id_(id), operation_(std::move(operation)), stepsBegun_(stepsDone) {}
  ~Running() noexcept {
    if (!ended_ && operation_.policy == Operation::Policy::kUndo) undo();
    if (operation_.makesRoom) journal_.database_.reserve().take();
  }

  co::Co<void> steps() {
    try {
      for (size_t i = stepsBegun_; i < operation_.steps.size(); ++i) {
        stepsBegun_ = i + 1;
        co_await operation_.steps[i].run();
        recordDone(i + 1);
      }
      journal_.forget(id_, operation_.atEnd, operation_.end);
      ended_ = true;
    } catch (...) {
      if (operation_.policy == Operation::Policy::kUndo) undo();
      throw;
    }
  }

  void undo() noexcept {
    ended_ = true;
    try {
      for (size_t i = stepsBegun_; i-- > 0;) operation_.steps[i].undo();
      std::function<void()> nothing = [] {};
      journal_.forget(id_, nothing, operation_.end);
    } catch (...) {
      journal_.log_.error(
          str("cannot undo ", name(), ", will try at the next start: ", currentError().what()));
    }
  }

  // The step after those that are recorded as done may have been begun too.
  void assumeNextBegun() { stepsBegun_ = std::min(stepsBegun_ + 1, operation_.steps.size()); }
  Operation::Policy policy() const { return operation_.policy; }
  std::string name() const { return str(operation_.kind, " of ", operation_.subject); }

 private:
  // Unflushed: a power failure may forget it, and then an idempotent step runs once more.
  void recordDone(size_t steps) {
    Database::Transaction transaction(journal_.database_, Database::Durability::kUnflushed);
    journal_.database_.execute("UPDATE operation SET steps_done = ? WHERE id = ?", steps, id_);
    transaction.commit();
  }

  Journal& journal_;
  int64_t id_;
  Operation operation_;
  size_t stepsBegun_;
  bool ended_ = false;
};

kj::Promise<void> Journal::perform(Operation operation) {
  int64_t id;
  if (operation.makesRoom) database_.reserve().free();
  {
    Database::Transaction transaction(database_, operation.beginning);
    database_.execute("INSERT INTO operation (kind, subject, arguments) VALUES (?, ?, ?)", operation.kind,
                      operation.subject, operation.arguments);
    id = database_.lastId();
    operation.atBegin();
    transaction.commit();
  }
  return finish(kj::heap<Running>(*this, id, std::move(operation), 0));
}

kj::Promise<void> Journal::finish(kj::Own<Running> running) {
  auto steps = kj::evalNow([&] { return kj::Promise<void>(running->steps()); });
  return steps.attach(kj::mv(running));
}

void Journal::forget(int64_t id, const std::function<void()>& atEnd, Database::Durability durability) {
  Database::Transaction transaction(database_, durability);
  atEnd();
  database_.execute("DELETE FROM operation WHERE id = ?", id);
  transaction.commit();
}

std::vector<Journal::Interrupted> Journal::interrupted() {
  std::vector<Interrupted> result;
  Query query(database_, "SELECT id, kind, subject, arguments, steps_done FROM operation ORDER BY id");
  while (query.next())
    result.push_back(
        {query.number(0), query.text(1), query.text(2), query.text(3), static_cast<size_t>(query.number(4))});
  return result;
}

kj::Promise<void> Journal::recover(Interrupted interrupted, Operation operation) {
  if (operation.makesRoom) database_.reserve().free();
  auto running = kj::heap<Running>(*this, interrupted.id, std::move(operation), interrupted.stepsDone);
  std::string name = running->name();
  if (running->policy() == Operation::Policy::kUndo) {
    log_.warning(str("undoing the interrupted ", name));
    running->assumeNextBegun();
    running->undo();
    return kj::READY_NOW;
  }
  log_.warning(str("finishing the interrupted ", name));
  return finish(kj::mv(running)).catch_([this, name](kj::Exception&& e) {
    log_.error(str("cannot finish the ", name, ", will try at the next start: ", fromKj(e).what()));
  });
}

}  // namespace cove
