#include "instance/operations.h"

#include <cerrno>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "image/directory.h"
#include "instance/tools.h"

namespace cove {

namespace {

constexpr const char* kCreate = "create";
constexpr const char* kDelete = "delete";

// What both operations need to be rebuilt.
std::string argumentsOf(const InstanceRecord& record) {
  return nlohmann::json{{"id", record.id},
                        {"spec", encodeSpec(record.spec)},
                        {"image", record.image},
                        {"createdAt", record.createdAt}}
      .dump();
}

InstanceRecord recordOf(const std::string& arguments) {
  auto json = nlohmann::json::parse(arguments);
  InstanceRecord record;
  record.id = json.at("id");
  record.spec = decodeSpec(json.at("spec"));
  record.image = json.at("image");
  record.createdAt = json.at("createdAt");
  return record;
}

// Where an instance's directory waits for its removal. No name of an instance begins so.
std::string graveOf(const InstanceRecord& record) { return ".deleted-" + record.id; }

}  // namespace

Fd InstanceOperations::openDir(const std::string& name) const {
  return openBeneath(state_.fd, name, O_RDONLY | O_DIRECTORY);
}

kj::Promise<void> InstanceOperations::makeDir(const InstanceRecord& record) {
  check(::mkdirat(state_.fd.get(), record.name().c_str(), 0700), "make the directory",
        str(state_.path, "/", record.name()));
  return runForked(port_, "write cove.yaml", [this, record] {
    writeFileAtomic(openDir(record.name()), "cove.yaml", describeSpec(record.spec), 0600);
  });
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

void InstanceOperations::discard(const std::string& name) { image::removeTree(state_.fd, name); }

Operation InstanceOperations::create(const InstanceRecord& record) {
  Operation operation;
  operation.kind = kCreate;
  operation.subject = record.name();
  operation.arguments = argumentsOf(record);
  operation.policy = Operation::Policy::kUndo;
  const std::string& name = record.name();
  operation.steps = {
      {"directory", [this, record] { return makeDir(record); }, [this, name] { discard(name); }},
      {"key", [this, name] { return makeKeyPair(port_, openDir(name), "cove-" + name); }},
      {"disk", [this, record] { return makeDisk(port_, openDir(record.name()), record.spec.diskBytes); }},
      {"flush", [this, name] { return flushDir(name); }}};
  operation.atEnd = [this, record] { records_.insert(record); };
  return operation;
}

Operation InstanceOperations::remove(const InstanceRecord& record) {
  Operation operation;
  operation.kind = kDelete;
  operation.subject = record.name();
  operation.arguments = argumentsOf(record);
  operation.policy = Operation::Policy::kFinish;
  operation.atBegin = [this, record] { records_.remove(record.id); };
  operation.steps = {{"rename",
                      [this, record]() -> kj::Promise<void> {
                        int result = ::renameat(state_.fd.get(), record.name().c_str(), state_.fd.get(),
                                                graveOf(record).c_str());
                        if (result != 0 && errno != ENOENT) throw sysError("rename", record.name());
                        return kj::READY_NOW;
                      }},
                     {"files", [this, record] {
                        return runForked(port_, "delete " + record.name(), [this, grave = graveOf(record)] {
                          image::removeTree(state_.fd, grave);
                        });
                      }}};
  return operation;
}

Operation InstanceOperations::rebuild(const Journal::Interrupted& interrupted) {
  InstanceRecord record = recordOf(interrupted.arguments);
  if (interrupted.kind == kCreate) return create(record);
  if (interrupted.kind == kDelete) return remove(record);
  throw Error(str("cannot recover the ", interrupted.kind, " of ", interrupted.subject, ": unknown kind"));
}

}  // namespace cove
