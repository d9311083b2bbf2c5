#include "instance/memory_key.h"

#include <cerrno>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/paths.h"
#include "base/text.h"

namespace cove {

namespace {
// The user's key; wiped when it goes.
struct UserKey {
  UserKey() = default;
  UserKey(const UserKey&) = delete;
  ~UserKey() { ::sodium_memzero(bytes.data(), bytes.size()); }
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  std::array<unsigned char, 32> bytes{};
};

void makeDirectories(const std::string& path) {
  for (size_t at = 1; (at = path.find('/', at)) != std::string::npos; ++at)
    if (::mkdir(path.substr(0, at).c_str(), 0700) < 0 && errno != EEXIST)
      throw sysError("make the directory", path.substr(0, at));
}

void makeUserKey(const std::string& path) {
  makeDirectories(path);
  UserKey key;
  ::randombytes_buf(key.bytes.data(), key.bytes.size());
  size_t slash = path.rfind('/');
  writeFileAtomic(openFile(path.substr(0, slash + 1), O_RDONLY | O_DIRECTORY), path.substr(slash + 1),
                  key.view(), 0600);
}

// False: there is none.
bool readUserKey(const std::string& path, UserKey& key) {
  int number = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (number < 0 && errno == ENOENT) return false;
  Fd file(number, "open", path);
  struct stat st = statOf(file, path);
  if (!S_ISREG(st.st_mode) || st.st_uid != ::geteuid() || (st.st_mode & 077) != 0)
    throw Error(str("will not use ", path, ": others can read or change it"))
        .hint("Make it yours alone:\n  chmod 600 " + path);
  if (::read(file.get(), key.bytes.data(), key.bytes.size()) != static_cast<ssize_t>(key.bytes.size()))
    throw Error(str("the key of suspended machines is damaged: ", path));
  return true;
}

StateKey derive(const UserKey& key, const StateSalt& salt) {
  StateKey result;
  result.salt = salt;
  ::crypto_generichash(result.key.data(), result.key.size(), salt.data(), salt.size(), key.bytes.data(),
                       key.bytes.size());
  return result;
}
}  // namespace

StateKey newStateKey() {
  std::string path = memoryKeyPath();
  UserKey key;
  if (!readUserKey(path, key)) {
    makeUserKey(path);
    readUserKey(path, key);
  }
  StateSalt salt;
  ::randombytes_buf(salt.data(), salt.size());
  return derive(key, salt);
}

StateKey stateKeyOf(const StateSalt& salt) {
  std::string path = memoryKeyPath();
  UserKey key;
  if (!readUserKey(path, key)) throw Error(str("the key of suspended machines is missing: ", path));
  return derive(key, salt);
}

}  // namespace cove
