#include <cerrno>
#include <deque>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"
#include "rpc/co.h"
#include "rpc/limits.h"
#include "rpc/stream.h"
#include "target/attributes.h"
#include "target/directory.h"
#include "target/paths.h"
#include "target/tree.h"

namespace cove {

namespace {
// Entries whose answers are awaited at once: hides the round trip of small files.
constexpr size_t kInFlight = 16;

class TreeReader {
 public:
  TreeReader(kj::UnixEventPort& port, rpc::TreeSink::Client sink) : port_(port), sink_(kj::mv(sink)) {}

  co::Co<void> run(std::string root) {
    Fd file = openFile(root, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    struct stat st = statOf(file, root);
    if (S_ISDIR(st.st_mode)) {
      co_await directory(std::move(file), "", 0);
    } else if (S_ISREG(st.st_mode)) {
      co_await add(sendFile(std::move(file), "", st));
    } else {
      throw Error("cannot copy " + root + ": it is neither file nor directory");
    }
    while (!inFlight_.empty()) co_await oldest();
    co_await sink_.doneRequest().send().ignoreResult();
  }

 private:
  co::Co<void> directory(Fd directory, std::string path, size_t depth) {
    if (depth > kTreeDepth) throw Error("cannot copy " + path + ": its tree is too deep");
    auto request = sink_.directoryRequest();
    request.setPath(path.c_str());
    describe(statOf(directory, path), request.initAttributes());
    co_await add(request.send().ignoreResult());
    for (const std::string& name : entriesOf(directory, SIZE_MAX, path)) {
      // In locals: g++ 12 destroys the parts of a conditional expression inside co_await twice.
      std::string below = path.empty() ? name : str(path, "/", name);
      kj::Promise<void> done = entry(directory, name, std::move(below), depth);
      co_await done;
    }
  }

  co::Co<void> entry(const Fd& parent, const std::string& name, std::string path, size_t depth) {
    struct stat st {};
    if (::fstatat(parent.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno == ENOENT) co_return;  // gone since
      throw sysError("examine", path);
    }
    if (S_ISLNK(st.st_mode)) {
      auto request = sink_.symlinkRequest();
      request.setPath(path.c_str());
      request.setTarget(readLink(parent, name).c_str());
      describe(st, request.initAttributes());
      co_await add(request.send().ignoreResult());
    } else if (S_ISDIR(st.st_mode)) {
      co_await directory(openAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), path, depth + 1);
    } else if (S_ISREG(st.st_mode)) {
      Fd file = openAt(parent, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
      struct stat opened = statOf(file, path);
      if (S_ISREG(opened.st_mode)) co_await add(sendFile(std::move(file), path, opened));
    } else {
      auto request = sink_.leftOutRequest();
      request.setPath(path.c_str());
      co_await add(request.send().ignoreResult());
    }
  }

  kj::Promise<void> sendFile(Fd file, const std::string& path, const struct stat& st) {
    auto request = sink_.fileRequest();
    request.setPath(path.c_str());
    request.setSize(static_cast<uint64_t>(st.st_size));
    describe(st, request.initAttributes());
    return sendAll(port_, std::move(file), request.send().getContent());
  }

  kj::Promise<void> add(kj::Promise<void> promise) {
    inFlight_.push_back(promise.eagerlyEvaluate(nullptr));
    if (inFlight_.size() < kInFlight) return kj::READY_NOW;
    return oldest();
  }
  kj::Promise<void> oldest() {
    auto promise = kj::mv(inFlight_.front());
    inFlight_.pop_front();
    return promise;
  }

  kj::UnixEventPort& port_;
  rpc::TreeSink::Client sink_;
  std::deque<kj::Promise<void>> inFlight_;
};
}  // namespace

kj::Promise<void> readTree(kj::UnixEventPort& port, ReadTreeCall context) {
  context.allowCancellation();
  auto params = context.getParams();
  auto reader = kj::heap<TreeReader>(port, params.getSink());
  kj::Promise<void> done = reader->run(resolvePath(params.getPath()));
  return done.attach(kj::mv(reader));
}

}  // namespace cove
