#include <sys/utsname.h>
#include <unistd.h>

#include "base/text.h"
#include "base/version.h"
#include "cove/commands/all.h"
#include "cove/context.h"
#include "cove/doctor/check.h"
#include "cove/output.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Examines whether machines can run on this host, and says of each thing that is missing which command mends it.
It starts no daemon and no machine. The exit status is 0 when machines can run, 1 otherwise.

`--report` prints everything that was found in a form to be pasted into a bug report: no secrets, and `~` for
your home directory.
)";

const char* healthName(Health health) {
  switch (health) {
    case Health::kGood:
      return "ok";
    case Health::kWarning:
      return "warning";
    case Health::kBroken:
      return "missing";
  }
  return "";
}

class Doctor final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--report", report_, "a report for pasting into a bug report");
    output_.declare(arguments);
  }

  int run(Context& context) override {
    std::vector<Check> checks = checkPrograms();
    for (auto part : {checkIsolation(), checkResources(), checkState(context)}) {
      checks.insert(checks.end(), part.begin(), part.end());
    }
    writeOut(report_             ? reportOf(checks)
             : output_.isTable() ? summaryOf(checks)
                                 : output_.list(records(checks)));
    for (const Check& check : checks) {
      if (check.health == Health::kBroken) return static_cast<int>(Exit::kFailed);
    }
    return 0;
  }

 private:
  static std::vector<Record> records(const std::vector<Check>& checks) {
    std::vector<Record> result;
    for (const Check& check : checks) {
      result.push_back({{"item", check.item},
                        {"status", std::string(healthName(check.health))},
                        {"found", check.found},
                        {"fix", check.fix}});
    }
    return result;
  }

  static std::string table(const std::vector<Check>& checks) {
    std::vector<std::vector<std::string>> rows;
    for (const Check& check : checks) rows.push_back({healthName(check.health), check.item, check.found});
    return alignColumns(rows);
  }

  static std::string summaryOf(const std::vector<Check>& checks) {
    std::string text = table(checks);
    bool works = true;
    for (const Check& check : checks) {
      works = works && check.health != Health::kBroken;
      if (check.health == Health::kGood || check.fix.empty()) continue;
      text += str("\n", escapeForTerminal(check.item), ":\n  ", escapeForTerminal(check.fix, true), "\n");
    }
    return text + (works ? "\nMachines can run.\n" : "\nMachines cannot run yet.\n");
  }

  static std::string reportOf(const std::vector<Check>& checks) {
    struct utsname system = {};
    uname(&system);
    std::string os;
    for (const char* path : {"/etc/debian_version", "/etc/redhat-release"}) {
      if (os.empty()) os = firstLine(path);
    }
    std::string text = str("cove ", std::string(version()), "\n", system.sysname, " ", system.release, " ",
                           system.version, "\n");
    text += str("system: ", os.empty() ? "unknown" : os, "; user: ", geteuid() == 0 ? "root" : "not root");
    text += str("; processors: ", sysconf(_SC_NPROCESSORS_ONLN), "\n");
    text += str("virtualized: ", hypervisorName(),
                "; container: ", access("/.dockerenv", F_OK) == 0 ? "yes" : "no");
    text += "\n\n" + table(checks);
    return "```\n" + escapeForTerminal(text, true) + "```\n";
  }

  static std::string hypervisorName() {
    std::string product = firstLine("/sys/class/dmi/id/product_name");
    return product.empty() ? "unknown" : product;
  }

  Output output_;
  bool report_ = false;
};

}  // namespace

constinit const Command kDoctor = {
    .name = "doctor",
    .summary = "Examine whether machines can run here, and what is missing",
    .help = kHelpText,
    .needs = Needs::kRunning,
    .make = makeAction<Doctor>,
};

}  // namespace cove::cli
