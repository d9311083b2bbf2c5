#include "cove/fake_daemon.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/paths.h"
#include "base/text.h"
#include "cove/dispatch.h"
#include "rpc/co.h"
#include "rpc/connection.h"
#include "rpc/daemon.capnp.h"
#include "rpc/descriptor.h"
#include "rpc/stream.h"
#include "target/local.h"

namespace cove::cli {

namespace {

class FakeSession final : public rpc::Session::Server {
 public:
  FakeSession(std::string name, rpc::Target::Client target)
      : name_(std::move(name)), target_(kj::mv(target)) {}

  kj::Promise<void> target(TargetContext context) override {
    if (name_.starts_with("slow")) return kj::NEVER_DONE;
    if (name_.starts_with("bad")) return toKj(Error("the guest's kernel panicked: \x1b[2Jboo"));
    context.getResults().setTarget(target_);
    return kj::READY_NOW;
  }
  kj::Promise<void> status(StatusContext context) override {
    if (context.getParams().getAfter() > 0) return kj::NEVER_DONE;
    context.getResults().initStatus().setSerial(1);
    return kj::READY_NOW;
  }
  kj::Promise<void> console(ConsoleContext context) override {
    auto output = context.getParams().getOutput();
    context.getResults().setInput(makeNullSink());
    auto request = output.writeRequest();
    request.setData(kj::StringPtr("login: ").asBytes());
    return request.send().ignoreResult().then([output]() mutable {
      auto end = output.endRequest();
      end.setSize(7);
      return end.send().ignoreResult();
    });
  }

 private:
  std::string name_;
  rpc::Target::Client target_;
};

class Service final : public rpc::Daemon::Server {
 public:
  Service(kj::AsyncIoContext& io, const StateDir& state, std::string log)
      : io_(io), state_(state), log_(std::move(log)), target_(makeLocalTarget(io.unixEventPort)) {}

  kj::Promise<void> hello(HelloContext context) override {
    auto hello = context.getResults().initHello();
    hello.setProtocol(rpc::PROTOCOL);
    hello.setStateDirectory(state_.id);
    hello.setBuildId("999.0.0+1.0");
    return kj::READY_NOW;
  }
  kj::Promise<void> create(CreateContext context) override {
    std::string name = add("create", context.getParams().getSpec());
    ids_[context.getParams().getId().cStr()] = name;
    context.allowCancellation();
    if (name.starts_with("stuck")) return kj::NEVER_DONE;
    context.getResults().setName(name);
    return kj::READY_NOW;
  }
  kj::Promise<void> run(RunContext context) override {
    std::string name = add("run", context.getParams().getSpec());
    ids_[context.getParams().getId().cStr()] = name;
    context.allowCancellation();
    if (name.starts_with("stuck")) return kj::NEVER_DONE;
    if (context.getParams().getSpec().getOs() == "long:1")
      return kj::Promise<void>(kj::NEVER_DONE).attach(kj::defer([this, name] { undo(name); }));
    instances_[name] = true;
    context.getResults().setName(name);
    context.getResults().setSocket(introduce(name));
    return kj::READY_NOW;
  }
  kj::Promise<void> start(StartContext context) override {
    find("start", context.getParams().getName()) = true;
    return kj::READY_NOW;
  }
  kj::Promise<void> connect(ConnectContext context) override {
    std::string name(context.getParams().getName().cStr());
    if (!find("connect", name)) {
      return toKj(Error("the instance " + name + " is not running").hint("Start it:\n  cove start " + name));
    }
    context.getResults().setSocket(introduce(name));
    return kj::READY_NOW;
  }
  kj::Promise<void> stop(StopContext context) override {
    auto params = context.getParams();
    find(params.getForce() ? "force-stop" : "stop", params.getName()) = false;
    return kj::READY_NOW;
  }
  kj::Promise<void> delete_(DeleteContext context) override {
    auto params = context.getParams();
    std::string name(params.hasId() ? ids_[params.getId().cStr()] : params.getName().cStr());
    find(params.getForce() ? "force-delete" : "delete", name);
    instances_.erase(name);
    return kj::READY_NOW;
  }
  kj::Promise<void> keep(KeepContext context) override {
    find("keep", context.getParams().getName());
    return kj::READY_NOW;
  }
  kj::Promise<void> list(ListContext context) override {
    auto list = context.getResults().initInstances(instances_.size());
    unsigned at = 0;
    for (const auto& [name, running] : instances_) {
      describe(list[at], name, running);
      if (undoing_.count(name) > 0) {
        list[at].initSpec().setEphemeral(true);
        list[at].setOperation("deleting");
      }
      ++at;
    }
    return kj::READY_NOW;
  }
  kj::Promise<void> info(InfoContext context) override {
    std::string name(context.getParams().getName().cStr());
    if (name.starts_with("stuck")) return toKj(Error("there is no instance " + name));  // it was never made
    bool running = find("", name);
    describe(context.getResults().initInfo(), name, running);
    return kj::READY_NOW;
  }

 private:
  void describe(rpc::InstanceInfo::Builder info, const std::string& name, bool running) {
    info.setName(name);
    info.initVm().setState(running ? rpc::VmState::READY : rpc::VmState::STOPPED);
    info.setDirectory(state_.path + "/" + name);
  }
  void undo(const std::string& name) {
    undoing_.insert_or_assign(name, io_.provider->getTimer()
                                        .afterDelay(300 * kj::MILLISECONDS)
                                        .then([this, name] {
                                          instances_.erase(name);
                                          note("undone " + name);
                                        })
                                        .eagerlyEvaluate(nullptr));
  }
  void note(const std::string& line) {
    if (!line.starts_with(' '))
      writeAll(openFile(log_, O_WRONLY | O_APPEND | O_CREAT, 0600), line + "\n", log_);
  }
  std::string add(const char* call, rpc::InstanceSpec::Reader spec) {
    std::string name = spec.getName().size() > 0 ? spec.getName().cStr() : "fresh";
    note(cove::str(call, " ", name, " ", spec.getOs()));
    instances_[name] = false;
    return name;
  }
  bool& find(const char* call, kj::StringPtr name) {
    note(cove::str(call, " ", name));
    auto found = instances_.find(name.cStr());
    if (found == instances_.end())
      kj::throwFatalException(toKj(Error(cove::str("there is no instance ", name))));
    return found->second;
  }
  rpc::Socket::Client introduce(const std::string& name) {
    auto [ours, theirs] = makeSocketPair(SOCK_STREAM);
    sessions_.push_back(kj::heap<Connection>(*io_.lowLevelProvider, std::move(ours), Side::kServer,
                                             kj::heap<FakeSession>(name, target_)));
    return handOver(std::move(theirs));
  }

  kj::AsyncIoContext& io_;
  const StateDir& state_;
  std::string log_;
  rpc::Target::Client target_;
  std::map<std::string, std::string> ids_;  // names by id
  std::map<std::string, bool> instances_ = {{"web", true}, {"off", false}};
  std::map<std::string, kj::Promise<void>> undoing_;
  std::vector<kj::Own<Connection>> sessions_;
};

int serve(const std::string& log, const Fd& ready) {
  StateDir state = openStateDir();
  RuntimeDir runtime = openRuntimeDir();
  Fd listener = listenUnix(runtime.fd, socketName(state));
  auto io = kj::setupAsyncIo();
  rpc::Daemon::Client service = kj::heap<Service>(io, state, log);
  writeAll(ready, "R", "readiness pipe");
  std::vector<kj::Own<Connection>> connections;
  while (true) {
    whenReadable(io.unixEventPort, listener.get()).wait(io.waitScope);
    Fd client(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept");
    connections.push_back(
        kj::heap<Connection>(*io.lowLevelProvider, std::move(client), Side::kServer, service));
  }
}

void redirect(const std::string& directory, const char* name, int flags, int to) {
  Fd file = openFile(directory + "/" + name, flags, 0600);
  dup2(file.get(), to);
}

}  // namespace

FakeDaemon::FakeDaemon() {
  char name[] = "/tmp/cove-fake-XXXXXX";
  directory_ = mkdtemp(name);
  setenv("COVE_HOME", (directory_ + "/home").c_str(), 1);
  setenv("XDG_RUNTIME_DIR", directory_.c_str(), 1);
  Pipe ready = makePipe();
  child_ = Child::fork([&] {
    try {
      return serve(directory_ + "/calls", ready.write);
    } catch (...) {
      return 1;
    }
  });
  ready.write.reset();
  char byte = 0;
  if (read(ready.read.get(), &byte, 1) != 1) throw Error("the fake daemon did not start");
}

FakeDaemon::~FakeDaemon() {
  child_.reset();
  std::filesystem::remove_all(directory_);
}

std::string FakeDaemon::calls() const {
  std::string path = directory_ + "/calls";
  return access(path.c_str(), F_OK) == 0 ? readFile(path, 1 << 20) : "";
}

FakeDaemon::Result FakeDaemon::cove(std::vector<std::string> words, std::string_view input, int signal,
                                    std::string_view when) {
  writeAll(openFile(directory_ + "/in", O_WRONLY | O_CREAT | O_TRUNC, 0600), input, "in");
  Child child = Child::fork([&] {
    redirect(directory_, "in", O_RDONLY, 0);
    redirect(directory_, "out", O_WRONLY | O_CREAT | O_TRUNC, 1);
    redirect(directory_, "err", O_WRONLY | O_CREAT | O_TRUNC, 2);
    return runCove(words);
  });
  for (int i = 0; signal != 0 && i < 1000; ++i) {
    if (calls().find(when) != std::string::npos) {
      usleep(50'000);  // cove gets as far as waiting for the answer
      child.signal(signal);
      break;
    }
    usleep(10'000);
  }
  Ended ended = child.wait();
  return {ended, readFile(directory_ + "/out", 1 << 20), readFile(directory_ + "/err", 1 << 20)};
}

}  // namespace cove::cli
