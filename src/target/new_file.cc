#include "target/new_file.h"

#include <algorithm>
#include <cerrno>
#include <unistd.h>

#include "base/error.h"
#include "rpc/co.h"
#include "rpc/limits.h"
#include "target/paths.h"

namespace cove {

namespace {
constexpr size_t kBlock = 4096;

bool allZero(std::string_view data) { return data.find_first_not_of('\0') == std::string_view::npos; }

void writeAt(const Fd& file, uint64_t offset, std::string_view data, const std::string& name) {
  while (!data.empty()) {
    ssize_t count = ::pwrite(file.get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw sysError("write", name);
    offset += static_cast<uint64_t>(count);
    data.remove_prefix(static_cast<size_t>(count));
  }
}
}  // namespace

NewFile::NewFile(Fd directory, std::string name, WantedAttributes attributes, bool flush,
                 std::function<void()> done)
    : directory_(std::move(directory)),
      name_(std::move(name)),
      temporary_(temporaryName()),
      attributes_(attributes),
      flush_(flush),
      done_(std::move(done)),
      file_(openAt(directory_, temporary_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600)) {}

NewFile::~NewFile() {
  if (!published_) ::unlinkat(directory_.get(), temporary_.c_str(), 0);
  if (done_) done_();
}

void NewFile::write(uint64_t offset, std::string_view data) {
  while (!data.empty()) {
    size_t run = 0;
    bool zero = allZero(data.substr(0, kBlock));
    while (run < data.size() && allZero(data.substr(run, kBlock)) == zero) run += kBlock;
    run = std::min(run, data.size());
    if (!zero) writeAt(file_, offset, data.substr(0, run), name_);
    offset += run;
    data.remove_prefix(run);
  }
}

void NewFile::publish(uint64_t size) {
  check(::ftruncate(file_.get(), static_cast<off_t>(size)), "set the size of", name_);
  attributes_.applyTo(file_);
  if (flush_) check(::fsync(file_.get()), "flush", name_);
  check(::renameat(directory_.get(), temporary_.c_str(), directory_.get(), name_.c_str()), "make", name_);
  published_ = true;
  if (!flush_) return;
  Fd directory = openAt(directory_, ".", O_RDONLY | O_DIRECTORY);
  check(::fsync(directory.get()), "flush the directory of", name_);
}

namespace {
class FileSink final : public rpc::ByteSink::Server {
 public:
  explicit FileSink(kj::Own<NewFile> file) : file_(kj::mv(file)) {}
  kj::Promise<void> write(WriteContext context) override { return writeChunk(context); }
  kj::Promise<void> end(EndContext context) override { return finish(context); }

 private:
  co::Co<void> writeChunk(WriteContext context) {
    auto data = context.getParams().getData();
    uint64_t offset = context.getParams().getOffset();
    if (file_.get() == nullptr || data.size() > kStreamChunk || offset != size_)
      throw Error("a file's content does not come in order");
    file_->write(offset, {reinterpret_cast<const char*>(data.begin()), data.size()});
    size_ += data.size();
    co_return;
  }
  co::Co<void> finish(EndContext context) {
    if (file_.get() == nullptr || context.getParams().getSize() != size_)
      throw Error("a file has another size than its end says");
    auto file = kj::mv(file_);
    file->publish(size_);
    co_return;
  }
  kj::Own<NewFile> file_;
  uint64_t size_ = 0;
};
}  // namespace

rpc::ByteSink::Client makeFileSink(kj::Own<NewFile> file) { return kj::heap<FileSink>(kj::mv(file)); }

}  // namespace cove
