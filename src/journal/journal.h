// Operations: changes of more than one step that are either done or not, whenever the daemon is killed.
//
// An operation is recorded before its first step and forgotten with its last; what it changes in the database
// itself (`atBegin`, `atEnd`) happens in the same transactions. Each step and each undo is idempotent: after
// a kill nobody knows whether the last one took place. At its next start the daemon rebuilds every recorded
// operation from its kind and arguments, and finishes or undoes it, as its policy says.
#pragma once
#include <functional>
#include <kj/async.h>
#include <string>
#include <vector>

#include "base/log.h"
#include "journal/database.h"

namespace cove {

struct Operation {
  // What becomes of it when a step fails, its promise is dropped, or the daemon is killed.
  enum class Policy {
    kUndo,   // nothing remains of it
    kFinish  // it goes on: now where it can, else at the daemon's next start
  };
  struct Step {
    std::string name;
    std::function<kj::Promise<void>()> run;
    std::function<void()> undo = [] {
    };  // called for the steps that were begun, last one first; does not wait
  };

  std::string kind;
  std::string subject;    // of messages
  std::string arguments;  // all that rebuilding it needs
  Policy policy = Policy::kUndo;
  std::vector<Step> steps;
  std::function<void()> atBegin = [] {};  // changes of the database alone
  std::function<void()> atEnd = [] {};
  bool makesRoom = false;  // on the disk: it may use the database's reserve
  // Of its record, when it begins and when it ends. What a power failure makes the next start believe must be
  // true enough.
  Database::Durability beginning = Database::Durability::kFlushed, end = Database::Durability::kFlushed;
};

class Journal {
 public:
  Journal(Database& database, const Log& log) : database_(database), log_(log) {}

  // Performs it. With kUndo, dropping the promise or a failing step undoes it; with kFinish, a failure leaves
  // it recorded. What `operation` refers to outlives the promise.
  kj::Promise<void> perform(Operation operation);

  // Operations of an earlier daemon, in the order in which they began.
  struct Interrupted {
    int64_t id;
    std::string kind, subject, arguments;
    size_t stepsDone;
  };
  std::vector<Interrupted> interrupted();
  // Finishes or undoes one that was rebuilt, and logs which. A failure is logged and leaves it recorded.
  kj::Promise<void> recover(Interrupted interrupted, Operation operation);

 private:
  class Running;
  kj::Promise<void> finish(kj::Own<Running> running);
  void forget(int64_t id, const std::function<void()>& atEnd, Database::Durability durability);

  Database& database_;
  const Log& log_;
};

}  // namespace cove
