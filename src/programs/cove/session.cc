#include "cove/session.h"

#include "base/text.h"
#include "rpc/co.h"
#include "rpc/descriptor.h"
#include "rpc/state_name.h"

namespace cove::cli {

namespace {

kj::Own<Connection> open(Context& context, rpc::Socket::Client socket) {
  Fd own = context.wait(takeOver(kj::mv(socket)));
  return kj::heap<Connection>(*context.io().lowLevelProvider, std::move(own), Side::kClient);
}

// What a machine does that is waited for, until it is dropped; nothing where it is ready or will never be.
class StartDisplay {
 public:
  StartDisplay(Context& context, rpc::Session::Client session, const std::string& name, bool early)
      : line_(context.progress()),
        name_(name),
        early_(early),
        timer_(context.io().provider->getTimer()),
        began_(timer_.now()),
        states_(follow(kj::mv(session)).eagerlyEvaluate([](kj::Exception&&) {})),
        ticks_(tick().eagerlyEvaluate(nullptr)) {}

 private:
  co::Co<void> follow(rpc::Session::Client session) {
    uint64_t serial = 0;
    while (true) {
      auto request = session.statusRequest();
      request.setAfter(serial);
      auto response = co_await request.send();
      auto status = response.getStatus();
      serial = status.getSerial();
      describe(status);
      draw();
    }
  }

  co::Co<void> tick() {
    while (true) {
      co_await timer_.afterDelay(1 * kj::SECONDS);
      draw();
    }
  }

  void describe(rpc::VmStatus::Reader status) {
    step_ = "starting " + name_;
    switch (status.getState()) {
      case rpc::VmState::STARTING:
        detail_ = "booting";
        break;
      case rpc::VmState::UP:
        detail_ = "up, its services start";
        if (early_) step_.clear();
        break;
      case rpc::VmState::PAUSED:
        step_ = cove::str(name_, " is paused");
        detail_ = cove::str(status.getReason());
        break;
      default:
        step_.clear();
    }
  }

  void draw() {
    if (step_.empty()) return;
    line_.show(step_, detail_, std::chrono::seconds((timer_.now() - began_) / kj::SECONDS));
  }

  ProgressLine& line_;
  const std::string& name_;
  bool early_;
  kj::Timer& timer_;
  kj::TimePoint began_;
  std::string step_, detail_;
  kj::Promise<void> states_, ticks_;
};

}  // namespace

Session::Session(Context& context, std::string name, rpc::Socket::Client socket)
    : context_(context),
      name_(std::move(name)),
      connection_(open(context, kj::mv(socket))),
      session_(connection_->bootstrap<rpc::Session>()) {}

std::unique_ptr<Session> Session::connect(Context& context, const std::string& name) {
  auto request = context.daemon().connectRequest();
  request.setName(name);
  return std::make_unique<Session>(context, name, context.wait(request.send()).getSocket());
}

rpc::Target::Client Session::target(bool early) {
  StartDisplay display(context_, session_, name_, early);
  auto request = session_.targetRequest();
  request.setEarly(early);
  auto response = context_.wait(request.send());
  context_.progress().clear();
  return response.getTarget();
}

Error guestError(const kj::Exception& exception) {
  Error error = fromKj(exception);
  std::string advice = error.hint();
  if (!advice.empty()) error.hint("The guest says: " + escapeForTerminal(advice));
  return error.status(Exit::kFailed);
}

std::string describeState(rpc::InstanceInfo::Reader info) {
  if (info.getCreated()) return "created";
  if (info.getWaiting()) return "waiting";
  auto vm = info.getVm();
  std::string name = stateName(vm.getState());
  return vm.getState() == rpc::VmState::READY && vm.getDegraded() ? name + " (degraded)" : name;
}

}  // namespace cove::cli
