#include "target/new_file.h"

#include <algorithm>
#include <cerrno>
#include <unistd.h>

#include "base/error.h"
#include "rpc/co.h"
#include "rpc/limits.h"

namespace cove {

namespace {
constexpr size_t kBlock = 4096;

bool allZero(std::string_view data) { return data.find_first_not_of('\0') == std::string_view::npos; }

int create(const Fd& directory, const std::string& name) {
  return ::openat(directory.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

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

NewFile::NewFile(Place place, std::string shown, WantedAttributes attributes, bool flush,
                 std::function<void()> done)
    : place_(std::move(place)),
      shown_(std::move(shown)),
      temporary_(temporaryName()),
      attributes_(attributes),
      flush_(flush),
      done_(std::move(done)),
      file_(create(place_.directory, temporary_), "make a file beside", shown_) {}

NewFile::~NewFile() {
  if (!published_) ::unlinkat(place_.directory.get(), temporary_.c_str(), 0);
  if (done_) done_();
}

void NewFile::write(uint64_t offset, std::string_view data) {
  while (!data.empty()) {
    size_t run = 0;
    bool zero = allZero(data.substr(0, kBlock));
    while (run < data.size() && allZero(data.substr(run, kBlock)) == zero) run += kBlock;
    run = std::min(run, data.size());
    if (!zero) writeAt(file_, offset, data.substr(0, run), shown_);
    offset += run;
    data.remove_prefix(run);
  }
}

void NewFile::publish(uint64_t size) {
  check(::ftruncate(file_.get(), static_cast<off_t>(size)), "set the size of", shown_);
  attributes_.applyTo(file_);
  if (flush_) check(::fsync(file_.get()), "flush", shown_);
  int directory = place_.directory.get();
  check(::renameat(directory, temporary_.c_str(), directory, place_.name.c_str()), "make", shown_);
  published_ = true;
  if (!flush_) return;
  Fd flushed = openAt(place_.directory, ".", O_RDONLY | O_DIRECTORY);
  check(::fsync(flushed.get()), "flush the directory of", shown_);
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
