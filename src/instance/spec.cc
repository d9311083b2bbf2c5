#include "instance/spec.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {

constexpr uint64_t kMiB = 1 << 20, kGiB = 1 << 30;
constexpr uint64_t kDefaultDisk = 100 * kGiB, kLeastDisk = 2 * kGiB, kMostDisk = 64 * 1024 * kGiB;
constexpr uint32_t kDefaultMemory = 4096, kLeastMemory = 256;  // MiB
constexpr unsigned kDefaultCpus = 4;
// An overlay grows with what the guest writes; below this it could not even boot.
constexpr uint64_t kLeastFree = 64 * kMiB;

Error usage(std::string message) { return Error(std::move(message)).status(Exit::kUsage); }

// For messages: names may be 300 characters long.
std::string shown(std::string_view text) {
  return escapeForTerminal(text.size() > 80 ? str(text.substr(0, 77), "...") : std::string(text));
}

bool isUserName(std::string_view name) {
  auto isLower = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  return !name.empty() && name.size() <= 32 && isLower(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return isLower(c) || (c >= '0' && c <= '9') || c == '-'; });
}

// A field of passwd.
bool isComment(std::string_view text) {
  return text.size() <= 256 && text.find(':') == std::string_view::npos && escapeForTerminal(text) == text;
}

InstanceUser readUser(rpc::GuestUser::Reader reader) {
  InstanceUser user{reader.getName(), reader.getUid(), reader.getGid(), reader.getComment()};
  if (user.name.empty() && user.uid == 0) user.name = "root";
  if (!isUserName(user.name)) throw usage("not a valid user name: " + shown(user.name));
  if (!isComment(user.comment)) user.comment.clear();
  // 65534 is nobody; -1 means "no change" to the kernel.
  if (user.uid > 0x7fffffff || user.gid > 0x7fffffff || user.uid == 65534)
    throw usage(str("cannot make a user with uid ", user.uid, " and gid ", user.gid));
  return user;
}

}  // namespace

InstanceSpec readSpec(rpc::InstanceSpec::Reader reader) {
  InstanceSpec spec;
  spec.name = std::string(reader.getName());
  if (!spec.name.empty() && !isValidName(spec.name))
    throw usage("not a valid name: " + shown(spec.name))
        .hint("A name has 1 to 63 of a-z, 0-9 and '-', begins with a letter and does not end with '-'.");
  spec.os = std::string(reader.getOs());
  spec.variant = std::string(reader.getVariant());
  spec.cpus = reader.getCpus();
  spec.memoryMiB = reader.getMemoryMiB();
  spec.diskBytes = reader.getDiskBytes();
  spec.ephemeral = reader.getEphemeral();
  spec.user = readUser(reader.getUser());
  return spec;
}

void writeSpec(const InstanceSpec& spec, rpc::InstanceSpec::Builder builder) {
  builder.setName(spec.name);
  builder.setOs(spec.os);
  builder.setVariant(spec.variant);
  builder.setCpus(static_cast<uint16_t>(spec.cpus));
  builder.setMemoryMiB(spec.memoryMiB);
  builder.setDiskBytes(spec.diskBytes);
  builder.setEphemeral(spec.ephemeral);
  auto user = builder.initUser();
  user.setName(spec.user.name);
  user.setUid(spec.user.uid);
  user.setGid(spec.user.gid);
  user.setComment(spec.user.comment);
}

void resolveSpec(InstanceSpec& spec, const HostResources& host) {
  if (spec.cpus > host.cpus)
    throw Error(str("cannot give an instance ", spec.cpus, " CPUs: the host has ", host.cpus));
  if (spec.memoryMiB > host.memoryMiB)
    throw Error(str("cannot give an instance ", formatSize(spec.memoryMiB * kMiB),
                    " of memory: the host has ", formatSize(host.memoryMiB * kMiB)));
  if (spec.memoryMiB != 0 && spec.memoryMiB < kLeastMemory)
    throw usage(str("too little memory: ", spec.memoryMiB, " MiB; the least is ", kLeastMemory, " MiB"));
  if (spec.diskBytes > kMostDisk || spec.diskBytes > host.diskTotal)
    throw Error(str("cannot give an instance a disk of ", formatSize(spec.diskBytes),
                    ": the file system of cove's state directory has ", formatSize(host.diskTotal)));
  if (spec.diskBytes != 0 && spec.diskBytes < kLeastDisk)
    throw usage(
        str("too small a disk: ", formatSize(spec.diskBytes), "; the least is ", formatSize(kLeastDisk)));
  if (host.diskFree < kLeastFree)
    throw Error(str("no space for an instance's disk: ", formatSize(host.diskFree), " left in ",
                    host.stateDirectory, ", the least is ", formatSize(kLeastFree)))
        .hint("Free some space there, or choose another directory with COVE_HOME.");
  if (spec.cpus == 0) spec.cpus = std::min(kDefaultCpus, host.cpus);
  if (spec.memoryMiB == 0)
    spec.memoryMiB =
        static_cast<uint32_t>(std::clamp<uint64_t>(host.memoryMiB / 2, kLeastMemory, kDefaultMemory));
  if (spec.diskBytes == 0) spec.diskBytes = kDefaultDisk;
  spec.diskBytes = (spec.diskBytes + kMiB - 1) / kMiB * kMiB;
}

std::string encodeSpec(const InstanceSpec& spec) {
  nlohmann::json json = {{"name", spec.name},
                         {"os", spec.os},
                         {"variant", spec.variant},
                         {"cpus", spec.cpus},
                         {"memoryMiB", spec.memoryMiB},
                         {"diskBytes", spec.diskBytes},
                         {"ephemeral", spec.ephemeral},
                         {"fromSaved", spec.fromSaved},
                         {"user",
                          {{"name", spec.user.name},
                           {"uid", spec.user.uid},
                           {"gid", spec.user.gid},
                           {"comment", spec.user.comment}}}};
  return json.dump();
}

InstanceSpec decodeSpec(const std::string& text) {
  try {
    auto json = nlohmann::json::parse(text);
    InstanceSpec spec;
    spec.name = json.at("name");
    spec.os = json.at("os");
    spec.variant = json.at("variant");
    spec.cpus = json.at("cpus");
    spec.memoryMiB = json.at("memoryMiB");
    spec.diskBytes = json.at("diskBytes");
    spec.ephemeral = json.at("ephemeral");
    spec.fromSaved = json.value("fromSaved", false);  // of an older version
    const auto& user = json.at("user");
    spec.user = {user.at("name"), user.at("uid"), user.at("gid"), user.at("comment")};
    return spec;
  } catch (const nlohmann::json::exception& e) {
    throw Error(str("cannot read an instance's record: ", e.what()));
  }
}

std::string describeSpec(const InstanceSpec& spec) {
  // Every value is a number or checked to be plain text, so nothing needs more than quotes.
  return str("# Made by cove: what this instance is. Changing it changes nothing.\n", "os: \"", spec.os,
             "\"\n", "variant: \"", spec.variant, "\"\n", "cpus: ", spec.cpus, "\n",
             "memory: ", spec.memoryMiB, "MiB\n", "disk: ", spec.diskBytes / kMiB, "MiB\n",
             "ephemeral: ", spec.ephemeral, "\n", "user:\n", "  name: \"", spec.user.name, "\"\n",
             "  uid: ", spec.user.uid, "\n", "  gid: ", spec.user.gid, "\n");
}

}  // namespace cove
