#include <unistd.h>

#include "base/text.h"
#include "cove/commands/all.h"
#include "cove/context.h"
#include "cove/log_follower.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Prints what the supervisor of an instance logged, a JSON object a line. `--serial` prints what the guest wrote to
its serial console instead, with everything escaped that could do more to a terminal than print. `--follow` goes
on with what is added, until interrupted or until the instance is deleted.
)";

constexpr auto kPollInterval = 200 * kj::MILLISECONDS;
constexpr size_t kLongestLine = 64 * 1024;

// Escapes whole lines only, so that no character is cut in two.
class LinePrinter {
 public:
  void take(std::string_view text) {
    pending_ += text;
    size_t end = pending_.rfind('\n');
    if (end == pending_.npos && pending_.size() < kLongestLine) return;
    end = end == pending_.npos ? pending_.size() : end + 1;
    print(pending_.substr(0, end));
    pending_.erase(0, end);
  }
  void finish() {
    if (!pending_.empty()) print(pending_ + "\n");
    pending_.clear();
  }

 private:
  // Serial consoles end lines with CR LF; alone, a CR would write over the line.
  static void print(std::string text) {
    for (size_t at = 0; (at = text.find("\r\n", at)) != text.npos;) text.erase(at, 1);
    writeOut(escapeForTerminal(text, true));
  }
  std::string pending_;
};

class Logs final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.instance(name_);
    arguments.flag("--follow", follow_, "go on with what is added").brief('f');
    arguments.flag("--serial", serial_, "what the guest wrote to its serial console");
  }

  int run(Context& context) override {
    auto request = context.daemon().infoRequest();
    request.setName(name_);
    auto response = context.wait(request.send());
    std::string directory = cove::str(response.getInfo().getDirectory());
    LogFollower log(directory + (serial_ ? "/serial.log" : "/ha.stderr.log"));
    LinePrinter printer;
    auto take = [&](std::string_view text) { printer.take(text); };
    bool exists = log.read(take);
    if (!exists && !follow_) context.say(cove::str(name_, " has logged nothing yet"));
    while (follow_ && (exists || access(directory.c_str(), F_OK) == 0)) {
      context.wait(context.io().provider->getTimer().afterDelay(kPollInterval));
      exists = log.read(take);
    }
    printer.finish();
    return 0;
  }

 private:
  std::string name_;
  bool follow_ = false;
  bool serial_ = false;
};

}  // namespace

constinit const Command kLogs = {
    .name = "logs",
    .summary = "Print the log of an instance",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<Logs>,
};

}  // namespace cove::cli
