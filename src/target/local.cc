#include "target/local.h"

#include "rpc/error.h"
#include "target/commands.h"
#include "target/connect.h"
#include "target/files.h"
#include "target/tree.h"

namespace cove {

namespace {
class LocalTarget final : public rpc::Target::Server {
 public:
  LocalTarget(kj::UnixEventPort& port, LocalTargetOptions options)
      : port_(port),
        mayStart_(options.mayStart),
        commands_(kj::refcounted<Commands>(port, std::move(options))) {}

  kj::Promise<void> exec(ExecContext c) override {
    auto start = [this, c]() mutable { return now([&] { commands_->exec(c); }); };
    return mayStart_ ? mayStart_().then(kj::mv(start)) : start();
  }
  kj::Promise<void> attach(AttachContext c) override {
    return now([&] { commands_->attach(c); });
  }
  kj::Promise<void> processes(ProcessesContext c) override {
    return now([&] { commands_->list(c); });
  }
  kj::Promise<void> stat(StatContext c) override {
    return now([&] { statFile(c); });
  }
  kj::Promise<void> list(ListContext c) override {
    return now([&] { listDirectory(c); });
  }
  kj::Promise<void> read(ReadContext c) override {
    return later([&] { return readFileInto(port_, c); });
  }
  kj::Promise<void> write(WriteContext c) override {
    return now([&] { writeFileFrom(c); });
  }
  kj::Promise<void> remove(RemoveContext c) override {
    return now([&] { removeFile(c); });
  }
  kj::Promise<void> readTree(ReadTreeContext c) override {
    return later([&] { return cove::readTree(port_, c); });
  }
  kj::Promise<void> writeTree(WriteTreeContext c) override {
    return now([&] { cove::writeTree(c); });
  }
  kj::Promise<void> connect(ConnectContext c) override {
    return later([&] { return connectTo(port_, c); });
  }

 private:
  // An Error of a method's body reaches the caller whole.
  template <typename Body>
  static kj::Promise<void> later(Body&& body) {
    try {
      return body();
    } catch (const Error& e) {
      return toKj(e);
    }
  }
  template <typename Body>
  static kj::Promise<void> now(Body&& body) {
    return later([&]() -> kj::Promise<void> {
      body();
      return kj::READY_NOW;
    });
  }

  kj::UnixEventPort& port_;
  std::function<kj::Promise<void>()> mayStart_;
  kj::Own<Commands> commands_;
};
}  // namespace

rpc::Target::Client makeLocalTarget(kj::UnixEventPort& port, LocalTargetOptions options) {
  return kj::heap<LocalTarget>(port, std::move(options));
}

}  // namespace cove
