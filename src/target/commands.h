// The commands of a Target: exec, attach, and the list of those whose end nobody fetched.
#pragma once
#include <functional>
#include <map>

#include "target/calls.h"
#include "target/command.h"

namespace cove {

class Commands : public kj::Refcounted, private kj::TaskSet::ErrorHandler {
 public:
  Commands(kj::UnixEventPort& port, LocalTargetOptions options)
      : port_(port), options_(std::move(options)), settling_(*this) {}

  void exec(ExecCall context);
  void attach(AttachCall context);
  void list(ProcessesCall context) const;

  // Its status was given to a client: it is kept only until that client has all of the output.
  void fetched(Command& command);

 private:
  class ProcessServer;
  void makeRoom();
  void taskFailed(kj::Exception&&) override {}

  kj::UnixEventPort& port_;
  LocalTargetOptions options_;
  std::map<uint64_t, kj::Own<Command>> commands_;
  uint64_t nextId_ = 1;
  kj::TaskSet settling_;
};

}  // namespace cove
