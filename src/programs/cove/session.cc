#include "cove/session.h"

#include "base/text.h"
#include "rpc/co.h"

namespace cove::cli {

namespace {

kj::Own<Connection> open(Context& context, rpc::Socket::Client socket) {
  auto carried = context.wait(socket.getFd());
  KJ_IF_MAYBE (number, carried) {
    // The capability owns the descriptor it carries, and goes away.
    Fd own(fcntl(*number, F_DUPFD_CLOEXEC, 3), "duplicate", "the instance's socket");
    return kj::heap<Connection>(*context.io().lowLevelProvider, std::move(own), Side::kClient);
  }
  throw Error("the daemon sent no socket of the instance").hint("See: cove daemon state");
}

// Shows each state of the machine until it is dropped or the connection ends.
co::Co<void> showStates(rpc::Session::Client session, ProgressLine& line) {
  uint64_t serial = 0;
  while (true) {
    auto request = session.statusRequest();
    request.setAfter(serial);
    auto response = co_await request.send();
    auto status = response.getStatus();
    serial = status.getSerial();
    std::string text = stateName(status.getState());
    if (status.getReason().size() > 0) text += cove::str(": ", status.getReason());
    line.show(text);
  }
}

}  // namespace

Session::Session(Context& context, rpc::Socket::Client socket)
    : context_(context),
      connection_(open(context, kj::mv(socket))),
      session_(connection_->bootstrap<rpc::Session>()) {}

std::unique_ptr<Session> Session::connect(Context& context, const std::string& name) {
  auto request = context.daemon().connectRequest();
  request.setName(name);
  return std::make_unique<Session>(context, context.wait(request.send()).getSocket());
}

rpc::Target::Client Session::target(bool early) {
  auto states = showStates(session_, context_.progress()).eagerlyEvaluate([](kj::Exception&&) {});
  auto request = session_.targetRequest();
  request.setEarly(early);
  auto response = context_.wait(request.send());
  context_.progress().clear();
  return response.getTarget();
}

std::string stateName(rpc::VmState state) {
  switch (state) {
    case rpc::VmState::STARTING:
      return "starting";
    case rpc::VmState::UP:
      return "up";
    case rpc::VmState::READY:
      return "ready";
    case rpc::VmState::STOPPING:
      return "stopping";
    case rpc::VmState::STOPPED:
      return "stopped";
    case rpc::VmState::FAILED:
      return "failed";
    case rpc::VmState::PAUSED:
      return "paused";
  }
  return "unknown";
}

std::string describeState(rpc::InstanceInfo::Reader info) {
  if (info.getCreated()) return "created";
  auto vm = info.getVm();
  std::string name = stateName(vm.getState());
  return vm.getState() == rpc::VmState::READY && vm.getDegraded() ? name + " (degraded)" : name;
}

}  // namespace cove::cli
