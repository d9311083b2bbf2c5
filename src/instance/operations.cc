#include "instance/operations.h"

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/text.h"
#include "instance/instance_state.h"
#include "instance/tools.h"
#include "machine/disk_layers.h"

namespace cove {

namespace {

constexpr const char* kCreate = "create";
constexpr const char* kDelete = "delete";
constexpr const char* kApply = "apply";

// What all operations need to be rebuilt.
nlohmann::json argumentsOf(const InstanceRecord& record) {
  return {{"id", record.id},
          {"spec", encodeSpec(record.spec)},
          {"image", record.image},
          {"createdAt", record.createdAt},
          {"accelerator", record.accelerator}};
}

InstanceRecord recordOf(const nlohmann::json& json) {
  InstanceRecord record;
  record.id = json.at("id");
  record.spec = decodeSpec(json.at("spec"));
  record.image = json.at("image");
  record.createdAt = json.at("createdAt");
  record.accelerator = json.at("accelerator");
  return record;
}

// An instance's directory while it is made, and while it waits for its removal. No name of an instance begins
// so.
std::string nurseryOf(const InstanceRecord& record) { return ".new-" + record.id; }
std::string graveOf(const InstanceRecord& record) { return ".deleted-" + record.id; }

// In the directory: whose it is.
constexpr const char* kIdFile = "id";

}  // namespace

Fd InstanceOperations::openDir(const std::string& name) const {
  return openBeneath(state_.fd, name, O_RDONLY | O_DIRECTORY);
}

void InstanceOperations::makeNursery(const InstanceRecord& record) {
  std::string name = nurseryOf(record);
  check(::mkdirat(state_.fd.get(), name.c_str(), 0700), "make the directory", str(state_.path, "/", name));
}

kj::Promise<void> InstanceOperations::makeDir(const InstanceRecord& record) {
  makeNursery(record);
  return runForked(port_, "write cove.yaml", [this, record] {
    Fd dir = openDir(nurseryOf(record));
    writeFileAtomic(dir, kIdFile, record.id + "\n", 0600);
    writeFileAtomic(dir, "cove.yaml", describeSpec(record.spec), 0600);
  });
}

// Without waiting for the disk.
void InstanceOperations::fillDir(const InstanceRecord& record, const WriteDisk& writeDisk) {
  makeNursery(record);
  Fd dir = openDir(nurseryOf(record));
  auto create = [&dir](const char* name) {
    return openBeneath(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
  };
  writeAll(create(kIdFile), record.id + "\n", kIdFile);
  writeAll(create("cove.yaml"), describeSpec(record.spec), "cove.yaml");
  writeDisk(create(kDiskName));
}

// Takes the name only where nothing has it: what another made there meanwhile is not ours to use or remove.
void InstanceOperations::placeDir(const InstanceRecord& record) {
  std::string path = str(state_.path, "/", record.name());
  if (::renameat2(state_.fd.get(), nurseryOf(record).c_str(), state_.fd.get(), record.name().c_str(),
                  RENAME_NOREPLACE) != 0)
    throw sysError("make the directory", path);
}

// Back to where discard() finds it, if it is there, and ours.
void InstanceOperations::withdrawDir(const InstanceRecord& record) {
  std::string id;
  try {
    id = readAll(openBeneath(state_.fd, record.name() + "/" + kIdFile, O_RDONLY), 64, kIdFile);
  } catch (const Error&) {
    return;  // not there, or without an id
  }
  // Empty after a power failure, where it was not flushed.
  if (id != record.id + "\n" && !(id.empty() && record.spec.fromSaved)) return;
  check(::renameat(state_.fd.get(), record.name().c_str(), state_.fd.get(), nurseryOf(record).c_str()),
        "rename", record.name());
}

// What was made by other programs survives a power failure too, before the row says that it is there.
kj::Promise<void> InstanceOperations::flushDir(const std::string& name) {
  return runForked(port_, "flush the files of " + name, [this, name] {
    Fd dir = openDir(name);
    for (const char* file : {"key", "key.pub", "disk"})
      check(::fsync(openBeneath(dir, file, O_RDONLY).get()), "flush", file);
    check(::fsync(dir.get()), "flush", name);
  });
}

Operation InstanceOperations::creation(const InstanceRecord& record) {
  Operation operation;
  operation.kind = kCreate;
  operation.subject = record.name();
  operation.arguments = argumentsOf(record).dump();
  operation.policy = Operation::Policy::kUndo;
  operation.atEnd = [this, record] { records_.insert(record); };
  return operation;
}

Operation InstanceOperations::create(const InstanceRecord& record, Fill fill) {
  Operation operation = creation(record);
  std::string dir = nurseryOf(record);
  operation.steps = {
      {"directory", [this, record] { return makeDir(record); }, [this, dir] { removeTree(state_.fd, dir); }},
      {"key", [this, record, dir] { return makeKeyPair(port_, openDir(dir), "cove-" + record.name()); }},
      {"disk",
       [this, record, dir] { return makeDisk(port_, openDir(dir), kDiskName, record.spec.diskBytes); }},
      {"fill",
       [this, dir, fill = std::move(fill)]() -> kj::Promise<void> {
         if (!fill) return kj::READY_NOW;
         return fill(openDir(dir));
       }},
      {"flush", [this, dir] { return flushDir(dir); }},
      {"place",
       [this, record]() -> kj::Promise<void> {
         placeDir(record);
         check(::fsync(state_.fd.get()), "flush", state_.path);
         return kj::READY_NOW;
       },
       [this, record] { withdrawDir(record); }}};
  return operation;
}

Operation InstanceOperations::createFromSaved(const InstanceRecord& record, WriteDisk writeDisk) {
  Operation operation = creation(record);
  operation.end = Database::Durability::kUnflushed;
  std::string dir = nurseryOf(record);
  operation.steps = {{"directory",
                      [this, record, writeDisk = std::move(writeDisk)]() -> kj::Promise<void> {
                        fillDir(record, writeDisk);
                        return kj::READY_NOW;
                      },
                      [this, dir] { removeTree(state_.fd, dir); }},
                     {"place",
                      [this, record]() -> kj::Promise<void> {
                        placeDir(record);
                        return kj::READY_NOW;
                      },
                      [this, record] { withdrawDir(record); }}};
  return operation;
}

Operation InstanceOperations::remove(const InstanceRecord& record) {
  Operation operation;
  operation.kind = kDelete;
  operation.subject = record.name();
  operation.arguments = argumentsOf(record).dump();
  operation.policy = Operation::Policy::kFinish;
  operation.makesRoom = true;
  // An ephemeral one that is still there after a power failure is found, and removed again.
  if (record.spec.ephemeral) operation.beginning = operation.end = Database::Durability::kUnflushed;
  operation.atBegin = [this, record] { records_.remove(record.id); };
  operation.steps = {{"rename",
                      [this, record]() -> kj::Promise<void> {
                        int result = ::renameat(state_.fd.get(), record.name().c_str(), state_.fd.get(),
                                                graveOf(record).c_str());
                        if (result != 0 && errno != ENOENT) throw sysError("rename", record.name());
                        return kj::READY_NOW;
                      }},
                     {"files", [this, record] {
                        return runForked(port_, "delete " + record.name(),
                                         [this, grave = graveOf(record)] { removeTree(state_.fd, grave); });
                      }}};
  return operation;
}

Operation InstanceOperations::apply(const InstanceRecord& record, const std::string& stage, bool suspended) {
  Operation operation;
  operation.kind = kApply;
  operation.subject = record.name();
  auto arguments = argumentsOf(record);
  arguments["stage"] = stage;
  arguments["suspended"] = suspended;
  operation.arguments = arguments.dump();
  operation.policy = Operation::Policy::kFinish;
  std::string name = record.name();
  operation.steps = {
      {"replace",
       [this, name, stage, suspended] {
         return runForked(port_, "apply the snapshot to " + name,
                          [this, name, stage, suspended] { replaceState(openDir(name), stage, suspended); });
       }},
      {"clear", [this, name, stage] {
         return runForked(port_, "apply the snapshot to " + name,
                          [this, name, stage] { removeTree(openDir(name), stage); });
       }}};
  operation.atEnd = [this, record] {
    records_.setEnded(record.id, InstanceRecord::State::kStopped, "");
    records_.setAccelerator(record.id, record.accelerator);
  };
  return operation;
}

Operation InstanceOperations::rebuild(const Journal::Interrupted& interrupted) {
  auto arguments = nlohmann::json::parse(interrupted.arguments);
  InstanceRecord record = recordOf(arguments);
  if (interrupted.kind == kCreate)
    return record.spec.fromSaved ? createFromSaved(record, {}) : create(record);
  if (interrupted.kind == kDelete) return remove(record);
  if (interrupted.kind == kApply) return apply(record, arguments.at("stage"), arguments.at("suspended"));
  throw Error(str("cannot recover the ", interrupted.kind, " of ", interrupted.subject, ": unknown kind"));
}

}  // namespace cove
