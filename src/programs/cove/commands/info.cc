#include "cove/commands/all.h"
#include "cove/context.h"
#include "cove/instance_record.h"
#include "cove/output.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kHelpText = R"(
Prints everything that is known about an instance: its state and the reason of a failure, services of the guest
that failed, its sizes, its directory on the host, its image, and the configuration file for plain ssh.
)";

class Info final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.instance(name_);
    output_.declare(arguments);
  }

  int run(Context& context) override {
    auto request = context.daemon().infoRequest();
    request.setName(name_);
    auto response = context.wait(request.send());
    Record record = instanceRecord(response.getInfo(), time(nullptr));
    for (Field& field : record) field.heading = field.name;  // here the table has all of them
    writeOut(output_.single(record));
    return 0;
  }

 private:
  std::string name_;
  Output output_;
};

}  // namespace

constinit const Command kInfo = {
    .name = "info",
    .summary = "Print what is known about an instance",
    .help = kHelpText,
    .needs = Needs::kDaemon,
    .make = makeAction<Info>,
};

}  // namespace cove::cli
