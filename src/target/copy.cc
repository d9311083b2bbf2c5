#include "target/copy.h"

#include <algorithm>

#include "rpc/co.h"
#include "rpc/limits.h"

namespace cove {

namespace {
struct Progress final : kj::Refcounted {
  explicit Progress(CopyProgress function) : report(std::move(function)) {}
  CopyProgress report;  // may be none
  uint64_t bytes = 0;
  bool complete = false;  // the receiver has said so
  LeftOut leftOut;
};

// Counts what goes by; checking names and content is the receiver's.
class CountedContent final : public rpc::ByteSink::Server {
 public:
  CountedContent(rpc::ByteSink::Client inner, kj::Own<Progress> progress, std::string path)
      : inner_(kj::mv(inner)), progress_(kj::mv(progress)), path_(std::move(path)) {}
  kj::Promise<void> write(WriteContext context) override {
    auto params = context.getParams();
    progress_->bytes += params.getData().size();
    progress_->report(progress_->bytes, path_);
    auto request = inner_.writeRequest(params.totalSize());
    request.setOffset(params.getOffset());
    request.setData(params.getData());
    return request.send().ignoreResult();
  }
  kj::Promise<void> end(EndContext context) override {
    auto request = inner_.endRequest();
    request.setSize(context.getParams().getSize());
    return request.send().ignoreResult();
  }

 private:
  rpc::ByteSink::Client inner_;
  kj::Own<Progress> progress_;
  std::string path_;
};

class CountedTree final : public rpc::TreeSink::Server {
 public:
  CountedTree(rpc::TreeSink::Client inner, kj::Own<Progress> progress)
      : inner_(kj::mv(inner)), progress_(kj::mv(progress)) {}

  kj::Promise<void> directory(DirectoryContext context) override {
    auto params = context.getParams();
    auto request = inner_.directoryRequest(params.totalSize());
    request.setPath(params.getPath());
    request.setAttributes(params.getAttributes());
    return request.send().ignoreResult();
  }
  kj::Promise<void> file(FileContext context) override {
    auto params = context.getParams();
    auto request = inner_.fileRequest(params.totalSize());
    request.setPath(params.getPath());
    request.setSize(params.getSize());
    request.setAttributes(params.getAttributes());
    auto sent = request.send();
    if (progress_->report)
      context.getResults().setContent(
          kj::heap<CountedContent>(sent.getContent(), kj::addRef(*progress_),
                                   std::string(params.getPath().begin(), params.getPath().size())));
    else
      context.getResults().setContent(sent.getContent());
    return sent.ignoreResult();
  }
  kj::Promise<void> symlink(SymlinkContext context) override {
    auto params = context.getParams();
    auto request = inner_.symlinkRequest(params.totalSize());
    request.setPath(params.getPath());
    request.setTarget(params.getTarget());
    request.setAttributes(params.getAttributes());
    return request.send().ignoreResult();
  }
  kj::Promise<void> leftOut(LeftOutContext context) override {
    auto path = context.getParams().getPath();
    LeftOut& leftOut = progress_->leftOut;
    if (leftOut.count++ < LeftOut::kNamed)
      leftOut.first.emplace_back(path.begin(), std::min(path.size(), kPathBytes));
    return kj::READY_NOW;
  }
  kj::Promise<void> done(DoneContext) override {
    return inner_.doneRequest().send().then(
        [progress = kj::addRef(*progress_)](auto&&) mutable { progress->complete = true; });
  }

 private:
  rpc::TreeSink::Client inner_;
  kj::Own<Progress> progress_;
};

co::Co<LeftOut> copy(rpc::Target::Client from, std::string fromPath, rpc::Target::Client to,
                     std::string toPath, CopyOptions options, CopyProgress progress) {
  auto write = to.writeTreeRequest();
  write.setPath(toPath.c_str());
  write.setIntoDirectory(options.intoDirectory.c_str());
  write.setSetOwner(options.setOwner);
  auto writing = co_await write.send();
  auto read = from.readTreeRequest();
  read.setPath(fromPath.c_str());
  auto watched = kj::refcounted<Progress>(std::move(progress));
  read.setSink(kj::heap<CountedTree>(writing.getSink(), kj::addRef(*watched)));
  co_await read.send().ignoreResult();
  // Either side may be a guest, which answers what it likes.
  if (!watched->complete) throw Error("the copy is not complete: its source ended it too early");
  co_return std::move(watched->leftOut);
}
}  // namespace

kj::Promise<LeftOut> copyTree(rpc::Target::Client from, std::string fromPath, rpc::Target::Client to,
                              std::string toPath, CopyOptions options, CopyProgress progress) {
  return copy(kj::mv(from), std::move(fromPath), kj::mv(to), std::move(toPath), std::move(options),
              std::move(progress));
}

}  // namespace cove
