#include <ctime>

#include "base/text.h"
#include "cove/commands/all.h"
#include "cove/context.h"
#include "cove/instance_record.h"
#include "cove/output.h"
#include "cove/stdio.h"
#include "rpc/error.h"

namespace cove::cli {

namespace {

constexpr std::string_view kCreateHelp = R"(
Keeps what an instance is now under a name, for `cove snapshot apply` to go back to. One that runs stands still for a
moment and goes on; its memory is kept too, encrypted as by `cove suspend`.

A snapshot takes no room of its own at first. What is written afterwards does, as what was there before is kept.
)";

constexpr std::string_view kApplyHelp = R"(
Makes an instance what it was when a snapshot was taken: all that it has become since is lost. One that was running then is
suspended where it stood, and `cove resume` lets it go on.

One that runs is refused unless `--force` is given, which switches it off first.
)";

constexpr std::string_view kListHelp = R"(
Lists the snapshots of an instance, the oldest first. SIZE is what deleting one frees on the disk: what no other
snapshot, no clone, and not the instance itself needs.
)";

constexpr std::string_view kDeleteHelp = R"(
Deletes a snapshot. The instance, its clones and its other snapshots lose nothing.
)";

// The two words that three of the commands take.
class SnapshotAction : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.instance(name_);
    arguments.positional("SNAPSHOT", snapshot_, "the name of the snapshot");
  }

 protected:
  template <typename Request>
  int send(Context& context, Request request, const char* verb) {
    context.progress().show(cove::str(verb, name_));
    request.setName(name_);
    request.setSnapshot(snapshot_);
    context.wait(request.send());
    return 0;
  }
  std::string name_, snapshot_;
};

class SnapshotCreate final : public SnapshotAction {
 public:
  int run(Context& context) override {
    return send(context, context.daemon().snapshotCreateRequest(), "taking a snapshot of ");
  }
};

class SnapshotApply final : public SnapshotAction {
 public:
  void declare(Arguments& arguments) override {
    SnapshotAction::declare(arguments);
    arguments.flag("--force", force_, "also where it runs").brief('f');
  }
  int run(Context& context) override {
    auto request = context.daemon().snapshotApplyRequest();
    request.setForce(force_);
    return send(context, kj::mv(request), "applying a snapshot to ");
  }

 private:
  bool force_ = false;
};

class SnapshotDelete final : public SnapshotAction {
 public:
  int run(Context& context) override {
    return send(context, context.daemon().snapshotDeleteRequest(), "deleting a snapshot of ");
  }
};

class SnapshotList final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.instance(name_);
    output_.declare(arguments);
  }

  int run(Context& context) override {
    auto request = context.daemon().snapshotsRequest();
    request.setName(name_);
    auto response = context.wait(request.send());
    std::vector<Record> records;
    for (auto snapshot : response.getSnapshots()) records.push_back(record(snapshot));
    if (records.empty() && output_.isTable())
      context.say(cove::str("no snapshots; cove snapshot create ", name_, " NAME takes one"));
    writeOut(output_.list(records));
    return 0;
  }

 private:
  static Record record(rpc::SnapshotInfo::Reader snapshot) {
    int64_t age = time(nullptr) - snapshot.getCreatedAt();
    return {
        {"name", cove::str(snapshot.getName()), "NAME"},
        {"memory", snapshot.getMemory(), "MEMORY", snapshot.getMemory() ? "yes" : "no"},
        {"size", int64_t(snapshot.getSize()), "SIZE", formatSize(snapshot.getSize())},
        {"age", age, "AGE", formatAge(age)},
        {"createdAt", formatTime(snapshot.getCreatedAt())},
    };
  }

  std::string name_;
  Output output_;
};

}  // namespace

constinit const Command kSnapshotCreate = {
    .name = "snapshot create",
    .summary = "Keep what an instance is now",
    .help = kCreateHelp,
    .needs = Needs::kDaemon,
    .make = makeAction<SnapshotCreate>,
};
constinit const Command kSnapshotApply = {
    .name = "snapshot apply",
    .summary = "Make an instance what it was",
    .help = kApplyHelp,
    .needs = Needs::kDaemon,
    .make = makeAction<SnapshotApply>,
};
constinit const Command kSnapshotList = {
    .name = "snapshot list",
    .summary = "List the snapshots of an instance",
    .help = kListHelp,
    .needs = Needs::kDaemon,
    .make = makeAction<SnapshotList>,
};
constinit const Command kSnapshotDelete = {
    .name = "snapshot delete",
    .summary = "Delete a snapshot",
    .help = kDeleteHelp,
    .needs = Needs::kDaemon,
    .make = makeAction<SnapshotDelete>,
};

}  // namespace cove::cli
