#include <cerrno>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "rpc/co.h"
#include "rpc/limits.h"
#include "target/attributes.h"
#include "target/new_file.h"
#include "target/paths.h"
#include "target/tree.h"

namespace cove {

namespace {
constexpr size_t kOpenFiles = 64;                     // of one tree at once
constexpr size_t kDirectoryBytes = 64 * 1024 * 1024;  // what is remembered of directories until done()

class TreeWriter final : public rpc::TreeSink::Server {
 public:
  // The root becomes `name` in `parent`; an empty name: the directory `parent` itself. Errors call it
  // `shown`.
  TreeWriter(Fd parent, std::string name, std::string shown, bool setOwner)
      : parent_(std::move(parent)), name_(std::move(name)), shown_(std::move(shown)), setOwner_(setOwner) {}

  kj::Promise<void> directory(DirectoryContext context) override { return makeDirectory(context); }
  kj::Promise<void> file(FileContext context) override { return makeFile(context); }
  kj::Promise<void> symlink(SymlinkContext context) override { return makeSymlink(context); }
  kj::Promise<void> done(DoneContext) override { return finish(); }
  kj::Promise<void> leftOut(LeftOutContext) override { return kj::READY_NOW; }

 private:
  struct Made {
    std::string path;
    WantedAttributes attributes;
  };

  // Where an entry goes: always below the root's descriptor, whatever happened to the names in between.
  Place place(capnp::Text::Reader text) {
    std::string path(text.begin(), text.size());
    if (!isSafeTreePath(path))
      throw Error("refused a name in a tree: " + escapeForTerminal(path.substr(0, 200)));
    if (path.empty()) {
      if (name_.empty()) throw Error("a directory cannot become a file");
      return {parent_.duplicate(), name_};
    }
    if (!root_) throw Error("a tree does not begin with its root");
    size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {root_.duplicate(), path};
    return {openBeneath(root_, path.substr(0, slash), O_PATH | O_DIRECTORY), path.substr(slash + 1)};
  }

  std::string shown(capnp::Text::Reader path) const {
    return path.size() == 0 ? shown_ : str(shown_.c_str(), '/', path.cStr());
  }

  co::Co<void> makeDirectory(DirectoryContext context) {
    auto params = context.getParams();
    WantedAttributes attributes(params.getAttributes(), setOwner_);
    std::string path(params.getPath().begin(), params.getPath().size());
    if (path.empty() && name_.empty()) {
      root_ = openAt(parent_, ".", O_RDONLY | O_DIRECTORY);
      co_return;  // it was there: its attributes stay
    }
    Place at = place(params.getPath());
    bool made = ::mkdirat(at.directory.get(), at.name.c_str(), 0700) == 0;
    if (!made && errno != EEXIST) throw sysError("make the directory", shown(params.getPath()));
    Fd opened = openBeneath(at.directory, at.name, O_RDONLY | O_DIRECTORY);
    if (path.empty()) root_ = std::move(opened);
    if (!made) co_return;
    remembered_ += path.size() + sizeof(Made);
    if (remembered_ > kDirectoryBytes) throw Error("a tree has too many directories");
    made_.push_back({std::move(path), attributes});
  }

  co::Co<void> makeFile(FileContext context) {
    auto params = context.getParams();
    if (*open_ >= kOpenFiles) throw Error("a tree has too many files open at once");
    Place at = place(params.getPath());
    WantedAttributes attributes(params.getAttributes(), setOwner_);
    auto file = kj::heap<NewFile>(std::move(at), shown(params.getPath()), attributes, false,
                                  [open = open_] { --*open; });
    ++*open_;
    context.getResults().setContent(makeFileSink(kj::mv(file)));
    co_return;
  }

  // Beside its name and renamed, so that what was there is replaced and never followed.
  co::Co<void> makeSymlink(SymlinkContext context) {
    auto params = context.getParams();
    // Sources follow links to what they copy. One that took its place would lead the user's next copy astray.
    if (params.getPath().size() == 0) throw Error("refused a symlink in place of what was to be copied");
    std::string target(params.getTarget().begin(), params.getTarget().size());
    if (target.empty() || target.size() >= kPathBytes || target.find('\0') != std::string::npos)
      throw Error("refused a symlink's target in a tree");
    Place at = place(params.getPath());
    std::string temporary = temporaryName(), name = shown(params.getPath());
    check(::symlinkat(target.c_str(), at.directory.get(), temporary.c_str()), "make the symlink", name);
    try {
      WantedAttributes(params.getAttributes(), setOwner_).applyToLink(at.directory, temporary);
      check(::renameat(at.directory.get(), temporary.c_str(), at.directory.get(), at.name.c_str()),
            "make the symlink", name);
    } catch (...) {
      ::unlinkat(at.directory.get(), temporary.c_str(), 0);
      throw;
    }
    co_return;
  }

  // Children first: filling a directory changes its time, and its mode may forbid filling it.
  co::Co<void> finish() {
    if (*open_ > 0) throw Error("a tree is not complete");
    for (; !made_.empty(); made_.pop_back()) {
      const Made& each = made_.back();
      Fd directory =
          each.path.empty() ? root_.duplicate() : openBeneath(root_, each.path, O_RDONLY | O_DIRECTORY);
      each.attributes.applyTo(directory);
    }
    co_return;
  }

  Fd parent_;
  std::string name_, shown_;
  bool setOwner_;
  Fd root_;
  std::vector<Made> made_;
  size_t remembered_ = 0;
  std::shared_ptr<size_t> open_ = std::make_shared<size_t>(0);
};
}  // namespace

void writeTree(WriteTreeCall context) {
  auto params = context.getParams();
  std::string path = resolvePath(params.getPath());
  std::string into(params.getIntoDirectory().begin(), params.getIntoDirectory().size());
  if (!into.empty() && !isSafeName(into)) throw Error("refused the name " + escapeForTerminal(into));
  struct stat st {};
  Place root;
  if (::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
    root = {openFile(path, O_RDONLY | O_DIRECTORY), into};
    if (!into.empty()) path += "/" + into;
  } else {
    root = placeOf(path);
  }
  context.getResults().setSink(
      kj::heap<TreeWriter>(std::move(root.directory), std::move(root.name), path, params.getSetOwner()));
}

}  // namespace cove
