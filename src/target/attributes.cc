#include "target/attributes.h"

#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "rpc/limits.h"

namespace cove {

namespace {
constexpr int64_t kSecond = 1'000'000'000;

timespec timeOf(int64_t ns) {
  int64_t rest = ns % kSecond;
  if (rest < 0) rest += kSecond;
  return {(ns - rest) / kSecond, rest};
}

rpc::FileInfo::Kind kindOf(mode_t mode) {
  if (S_ISREG(mode)) return rpc::FileInfo::Kind::FILE;
  if (S_ISDIR(mode)) return rpc::FileInfo::Kind::DIRECTORY;
  if (S_ISLNK(mode)) return rpc::FileInfo::Kind::SYMLINK;
  return rpc::FileInfo::Kind::OTHER;
}
}  // namespace

void describe(const struct stat& st, rpc::Attributes::Builder attributes) {
  attributes.setMode(static_cast<uint16_t>(st.st_mode & 07777));
  attributes.setUid(st.st_uid);
  attributes.setGid(st.st_gid);
  attributes.setModifiedNs(st.st_mtim.tv_sec * kSecond + st.st_mtim.tv_nsec);
}

void describe(const Fd& directory, const std::string& name, const struct stat& st,
              rpc::FileInfo::Builder info) {
  info.setName(name.c_str());
  info.setKind(kindOf(st.st_mode));
  info.setSize(static_cast<uint64_t>(st.st_size));
  describe(st, info.initAttributes());
  if (S_ISLNK(st.st_mode)) info.setLinkTarget(readLink(directory, name).c_str());
}

namespace {
mode_t ownMask() {
  mode_t mask = ::umask(077);
  ::umask(mask);
  return mask;
}
}  // namespace

WantedAttributes::WantedAttributes(rpc::Attributes::Reader attributes, bool setOwner)
    : mode(attributes.getMode() & (setOwner ? 07777 : 0777 & ~ownMask())),
      uid(attributes.getUid()),
      gid(attributes.getGid()),
      modifiedNs(attributes.getModifiedNs()),
      owner(setOwner) {}

// The owner first: chown(2) takes setuid and setgid away.
void WantedAttributes::applyTo(const Fd& file) const {
  if (owner) check(::fchown(file.get(), uid, gid), "set the owner of", "a file");
  check(::fchmod(file.get(), mode), "set the mode of", "a file");
  timespec times[] = {{0, UTIME_OMIT}, timeOf(modifiedNs)};
  check(::futimens(file.get(), times), "set the time of", "a file");
}

void WantedAttributes::applyToLink(const Fd& directory, const std::string& name) const {
  if (owner)
    check(::fchownat(directory.get(), name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW), "set the owner of", name);
  timespec times[] = {{0, UTIME_OMIT}, timeOf(modifiedNs)};
  check(::utimensat(directory.get(), name.c_str(), times, AT_SYMLINK_NOFOLLOW), "set the time of", name);
}

std::string readLink(const Fd& directory, const std::string& name) {
  std::string target(kPathBytes, '\0');
  ssize_t size = ::readlinkat(directory.get(), name.c_str(), target.data(), target.size());
  target.resize(static_cast<size_t>(check(size, "read the link", name)));
  return target;
}

}  // namespace cove
