#include "target/copy.h"

#include <filesystem>
#include <unistd.h>

#include "base/text.h"
#include "cove/commands/all.h"
#include "cove/copy_path.h"
#include "cove/lifecycle.h"
#include "cove/session.h"
#include "target/local.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Copies a file or a whole directory into an instance, out of it, or from one to another: `cove copy notes.txt
web:`, `cove copy web:/etc/hosts .`, `cove copy site web:/srv`. A side in an instance is `NAME:PATH`; a relative
path is below your home directory there. A path here that has a colon is written with a slash before it, as
`./a:b`.

Where the target is an existing directory, the copy is made in it. Modes and times are kept. Owners are kept by
number inside instances, where you have the same number as here; what comes out of an instance belongs to you,
without setuid, setgid and sticky bits and with what your umask takes away. Symbolic links are copied as such, so
those out of an instance may point anywhere. FIFOs, sockets and devices are not copied: cove says which, and the exit
status is 0 all the same. Nothing is written outside of the target, whatever the guest says.
)";

class Copy final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments
        .positional(
            "FROM", [this](const std::string& text) { from_ = CopyPath::parse(text); }, "PATH or NAME:PATH")
        .completes(Completion::kInstancePath);
    arguments
        .positional(
            "TO", [this](const std::string& text) { to_ = CopyPath::parse(text); }, "PATH or NAME:PATH")
        .completes(Completion::kInstancePath);
    arguments.flag("--recursive", recursive_, "changes nothing: directories are always copied whole")
        .brief('r');
  }

  int run(Context& context) override {
    if (from_.instance.empty() && to_.instance.empty()) {
      throw usageError("neither side is in an instance").hint("As in: cove copy notes.txt web:");
    }
    Place from = open(context, from_);
    Place to = open(context, to_);
    CopyOptions options;
    options.intoDirectory = lastComponent(from.path);
    options.setOwner = !to_.instance.empty();
    auto show = [&context](uint64_t bytes, const std::string& path) {
      context.progress().show(str("copying ", path, " (", formatSize(bytes), " so far)"));
    };
    // A line for each file is too much where there is no line to write over.
    CopyProgress progress = context.isTerminal(STDERR_FILENO) ? CopyProgress(show) : nullptr;
    auto copied = copyTree(from.target, from.path, to.target, to.path, kj::mv(options), kj::mv(progress));
    LeftOut leftOut;
    fromGuest([&] { leftOut = context.wait(kj::mv(copied)); });
    if (leftOut.count > 0) context.say(describe(leftOut));
    return 0;
  }

 private:
  struct Place {
    std::unique_ptr<Session> session;  // none: here
    rpc::Target::Client target;
    std::string path;
  };

  // Names may be a guest's: what is between quotes is its, whatever it looks like.
  static std::string describe(const LeftOut& leftOut) {
    std::string names;
    for (const std::string& name : leftOut.first)
      names += str(names.empty() ? "" : ", ", '\'', name.substr(0, 200).c_str(), '\'');
    if (leftOut.count > leftOut.first.size()) names += ", …";
    return str("not copied, being FIFOs, sockets or devices: ", leftOut.count, " (", names.c_str(), ")");
  }

  static Place open(Context& context, const CopyPath& side) {
    if (side.instance.empty()) {
      auto here = std::filesystem::current_path().string();
      return {nullptr, makeLocalTarget(context.io().unixEventPort), side.below(here)};
    }
    auto session = Session::connect(context, side.instance);
    auto target = session->target(false);
    return {std::move(session), kj::mv(target), side.below(guestUser(context, side.instance).home)};
  }

  CopyPath from_, to_;
  bool recursive_ = false;
};

}  // namespace

constinit const Command kCopy = {
    .name = "copy",
    .summary = "Copy files into, out of, and between instances",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<Copy>,
};

}  // namespace cove::cli
