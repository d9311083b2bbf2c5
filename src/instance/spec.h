// What an instance is to be: as asked by a client, then with every default filled in.
#pragma once
#include <cstdint>
#include <string>

#include "instance/host.h"
#include "rpc/daemon.capnp.h"

namespace cove {

struct InstanceUser {
  std::string name = "root";
  uint32_t uid = 0, gid = 0;
  std::string comment;
};

struct InstanceSpec {
  std::string name;
  std::string os, variant;  // "debian:12", "default"
  unsigned cpus = 0;
  uint32_t memoryMiB = 0;
  uint64_t diskBytes = 0;
  bool ephemeral = false;
  bool fromSaved = false;  // its disk lies above a saved machine's: it lives as long as its machine
  InstanceUser user;
};

// A client's spec, checked: an Error (Exit::kUsage) names the part that is not valid. 0 and "" still stand
// for defaults.
InstanceSpec readSpec(rpc::InstanceSpec::Reader reader);
void writeSpec(const InstanceSpec& spec, rpc::InstanceSpec::Builder builder);

// Fills in what is 0, and refuses what the host does not have. Defaults: CPUs as the host, at most 4; memory
// half of the host's, at most 4 GiB (a guest's memory is taken when it is first touched, so what is not used
// costs nothing); disk 100 GiB, sparse.
void resolveSpec(InstanceSpec& spec, const HostResources& host);

// One line of JSON, for the database and the journal.
std::string encodeSpec(const InstanceSpec& spec);
InstanceSpec decodeSpec(const std::string& json);
// cove.yaml.
std::string describeSpec(const InstanceSpec& spec);

}  // namespace cove
