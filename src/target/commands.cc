#include "target/commands.h"

#include "base/error.h"
#include "base/text.h"
#include "rpc/error.h"
#include "rpc/limits.h"

namespace cove {

namespace {
// Commands that have ended and were not fetched; the oldest go first. Each may hold two full rings.
constexpr size_t kFinishedKept = 32;
}  // namespace

// What one client holds of a command. Without it the client is gone, and the command waits for another.
class Commands::ProcessServer final : public rpc::Process::Server {
 public:
  ProcessServer(kj::Own<Commands> commands, kj::Own<Command> command, uint64_t client)
      : commands_(kj::mv(commands)), command_(kj::mv(command)), client_(client) {}
  ~ProcessServer() noexcept(false) {
    // Calls under way to a client that has the status must go on.
    if (!fetched_) command_->detach(client_);
  }

  kj::Promise<void> wait(WaitContext context) override {
    context.allowCancellation();
    return command_->whenDone(client_).then([this, context]() mutable {
      command_->describeEnd(client_, context.getResults().initStatus());
      if (!command_->holds(client_)) return;
      fetched_ = true;
      commands_->fetched(*command_);
    });
  }
  kj::Promise<void> signal(SignalContext context) override {
    return guarded([&] { command_->signal(context.getParams().getNumber()); });
  }
  kj::Promise<void> resize(ResizeContext context) override {
    auto params = context.getParams();
    return guarded([&] { command_->resize(params.getRows(), params.getColumns()); });
  }

 private:
  template <typename Body>
  kj::Promise<void> guarded(Body&& body) {
    try {
      body();
      return kj::READY_NOW;
    } catch (const Error& e) {
      return toKj(e);
    }
  }
  kj::Own<Commands> commands_;
  kj::Own<Command> command_;
  uint64_t client_;
  bool fetched_ = false;
};

void Commands::exec(ExecCall context) {
  makeRoom();
  auto params = context.getParams();
  std::optional<CommandCgroup> cgroup;
  if (options_.commandCgroup) cgroup = options_.commandCgroup();
  auto command =
      kj::refcounted<Command>(port_, params.getCommand(), nextId_, std::move(cgroup), options_.resetOomScore);
  uint64_t client = command->attach(params.getStdout(), params.getStderr());
  commands_[nextId_] = kj::addRef(*command);
  auto results = context.getResults();
  results.setId(nextId_++);
  results.setStdin(command->stdinSink());
  results.setProcess(kj::heap<ProcessServer>(kj::addRef(*this), kj::mv(command), client));
}

void Commands::attach(AttachCall context) {
  auto params = context.getParams();
  auto found = commands_.find(params.getId());
  if (found == commands_.end())
    throw Error(str("there is no command ", params.getId())).hint("cove ps lists those that there are.");
  Command& command = *found->second;
  uint64_t client = command.attach(params.getStdout(), params.getStderr());
  auto results = context.getResults();
  results.setStdin(command.stdinSink());
  results.setStdinOffset(command.stdinOffset());
  results.setTerminal(command.description().terminal);
  results.setProcess(kj::heap<ProcessServer>(kj::addRef(*this), kj::addRef(command), client));
}

void Commands::list(ProcessesCall context) const {
  auto processes = context.getResults().initProcesses(static_cast<unsigned>(commands_.size()));
  unsigned index = 0;
  size_t left = kMessageWords * sizeof(capnp::word) / 2;  // of what the answer may hold
  for (const auto& [id, command] : commands_) {
    const auto& description = command->description();
    auto info = processes[index++];
    info.setId(id);
    info.setUser(description.user.c_str());
    info.setStartedMs(description.startedMs);
    info.setTerminal(description.terminal);
    info.setAttached(command->attached());
    info.setFinished(command->ended());
    size_t count = 0;
    for (; count < description.argv.size() && description.argv[count].size() + 16 < left; ++count)
      left -= description.argv[count].size() + 16;
    auto argv = info.initArgv(static_cast<unsigned>(count));
    for (unsigned i = 0; i < count; ++i) argv.set(i, description.argv[i].c_str());
  }
}

void Commands::fetched(Command& command) {
  auto found = commands_.find(command.description().id);
  if (found == commands_.end() || found->second.get() != &command) return;
  settling_.add(command.whenSettled().attach(kj::mv(found->second)));
  commands_.erase(found);
}

void Commands::makeRoom() {
  size_t ended = 0;
  for (const auto& [id, command] : commands_) ended += command->ended() ? 1 : 0;
  for (auto each = commands_.begin(); ended >= kFinishedKept && each != commands_.end();) {
    if (each->second->ended() && !each->second->attached()) {
      each = commands_.erase(each);
      --ended;
    } else {
      ++each;
    }
  }
  if (commands_.size() >= kProcesses) throw Error(str("there are ", commands_.size(), " commands already"));
}

}  // namespace cove
