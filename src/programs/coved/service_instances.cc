// Instances. Only create and run end with their caller: he undoes them by leaving. The rest goes on.
#include "coved/progress_sender.h"
#include "coved/service.h"

namespace cove {

kj::Promise<void> DaemonService::create(CreateContext context) { return createInstance(context); }
kj::Promise<void> DaemonService::start(StartContext context) { return startInstance(context); }
kj::Promise<void> DaemonService::run(RunContext context) { return runInstance(context); }
kj::Promise<void> DaemonService::connect(ConnectContext context) { return connectInstance(context); }
kj::Promise<void> DaemonService::stop(StopContext context) { return stopInstance(context); }
kj::Promise<void> DaemonService::delete_(DeleteContext context) { return deleteInstance(context); }
kj::Promise<void> DaemonService::list(ListContext context) { return listInstances(context); }
kj::Promise<void> DaemonService::info(InfoContext context) { return describeInstance(context); }
kj::Promise<void> DaemonService::keep(KeepContext context) { return keepInstance(context); }

co::Co<void> DaemonService::createInstance(CreateContext context) {
  InstanceSpec spec = readSpec(context.getParams().getSpec());
  auto progress = sendProgress(context.getParams().getProgress());
  std::string id = context.getParams().getId();
  context.releaseParams();
  context.allowCancellation();
  co_await recovered();
  std::string name = co_await parts_.instances.create(std::move(spec), std::move(id), std::move(progress));
  context.getResults().setName(name);
}

co::Co<void> DaemonService::runInstance(RunContext context) {
  InstanceSpec spec = readSpec(context.getParams().getSpec());
  auto progress = sendProgress(context.getParams().getProgress());
  bool cold = context.getParams().getCold();
  std::string id = context.getParams().getId();
  context.releaseParams();
  context.allowCancellation();
  co_await recovered();
  auto running = co_await parts_.instances.run(std::move(spec), std::move(id), cold, std::move(progress));
  context.getResults().setName(running.name);
  context.getResults().setId(running.id);
  context.getResults().setSocket(kj::mv(running.lease));
}

co::Co<void> DaemonService::startInstance(StartContext context) {
  co_await recovered();
  std::string name = context.getParams().getName();
  auto progress = sendProgress(context.getParams().getProgress());
  progress("starting " + name, 0, 0);
  bool cold = context.getParams().getCold();
  co_await parts_.instances.start(std::move(name), cold);
}

co::Co<void> DaemonService::connectInstance(ConnectContext context) {
  co_await recovered();
  auto socket = co_await parts_.instances.connect(context.getParams().getName());
  context.getResults().setSocket(kj::mv(socket));
}

co::Co<void> DaemonService::stopInstance(StopContext context) {
  co_await recovered();
  auto params = context.getParams();
  co_await parts_.instances.stop(params.getName(), params.getForce(), params.getTimeoutMs());
}

co::Co<void> DaemonService::deleteInstance(DeleteContext context) {
  co_await recovered();
  auto params = context.getParams();
  if (params.hasId())
    co_await parts_.instances.removeById(params.getId());
  else
    co_await parts_.instances.remove(params.getName(), params.getForce());
}

co::Co<void> DaemonService::keepInstance(KeepContext context) {
  co_await recovered();
  co_await parts_.instances.keep(context.getParams().getName());
}

co::Co<void> DaemonService::listInstances(ListContext context) {
  co_await recovered();
  co_await parts_.instances.list(context.getResults());
}

co::Co<void> DaemonService::describeInstance(InfoContext context) {
  co_await recovered();
  co_await parts_.instances.describe(context.getParams().getName(), context.getResults().initInfo());
}

}  // namespace cove
