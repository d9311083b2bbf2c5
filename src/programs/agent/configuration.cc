#include "agent/configuration.h"

#include <algorithm>
#include <ctime>
#include <sys/time.h>
#include <unistd.h>

#include "agent/etc.h"
#include "agent/home.h"
#include "base/error.h"
#include "base/text.h"
#include "base/uuid.h"

namespace cove::agent {

namespace {
constexpr size_t kMostKeys = 64;
constexpr size_t kLongestKey = 16 * 1024;
constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kDay = 86'400 * kSecond;

std::string textOf(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

// One line of authorized_keys; its grammar is sshd's business.
bool isKeyLine(std::string_view line) {
  return !line.empty() && line.size() <= kLongestKey &&
         std::ranges::all_of(line, [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
}

Fd etcDirectory() {
  std::optional<Fd> etc = findDirectory("etc");
  if (!etc) throw Error("cannot configure the guest: it has no /etc");
  return std::move(*etc);
}
}  // namespace

Configuration parseConfiguration(rpc::GuestConfig::Reader message) {
  Configuration result;
  result.hostname = textOf(message.getHostname());
  if (!isValidName(result.hostname)) throw Error("cannot use \"" + result.hostname + "\" as a host name");
  rpc::GuestUser::Reader user = message.getUser();
  result.user = {textOf(user.getName()), user.getUid(), user.getGid(), textOf(user.getComment())};
  if (result.user.uid == 0) result.user = {"root", 0, 0, ""};
  if (!isUserName(result.user.name)) throw Error("cannot use \"" + result.user.name + "\" as a user's name");
  if (message.getAuthorizedKeys().size() > kMostKeys) throw Error("cannot use more than 64 ssh keys");
  for (capnp::Text::Reader key : message.getAuthorizedKeys()) {
    result.authorizedKeys.push_back(textOf(key));
    if (!isKeyLine(result.authorizedKeys.back())) throw Error("cannot use an ssh key that is not one line");
  }
  result.timeNs = message.getTimeNs();
  result.id = textOf(message.getId());
  if (!result.id.empty() && !isUuid(result.id)) throw Error("cannot become an instance without a valid id");
  if (result.timeNs <= 0) throw Error("cannot set the clock to a time before 1970");
  return result;
}

void setClock(int64_t timeNs) {
  timespec now;
  check(::clock_gettime(CLOCK_REALTIME, &now), "read", "the clock");
  int64_t behind = timeNs - (now.tv_sec * kSecond + now.tv_nsec);
  // Smaller steps are the business of whoever keeps time in the guest.
  if (behind <= kSecond && behind >= -kSecond) return;
  timeval time{timeNs / kSecond, timeNs % kSecond / 1000};
  check(::settimeofday(&time, nullptr), "set", "the clock");
}

void setHostName(const std::string& name) {
  Fd etc = etcDirectory();
  replaceFile(etc, "hostname", name + "\n", 0644);
  replaceFile(etc, "hosts", withHostName(readFileAt(etc, "hosts").value_or(""), name), 0644);
  check(::sethostname(name.data(), name.size()), "set", "the host name");
}

bool makeUser(const Configuration& configuration) {
  const WantedAccount& wanted = configuration.user;
  if (wanted.name == "root") return true;
  Fd etc = etcDirectory();
  std::optional<Fd> lock = lockAccounts(etc);
  if (!lock) return false;
  AccountFiles before;
  before.passwd = readFileAt(etc, "passwd").value_or("");
  before.shadow = readFileAt(etc, "shadow").value_or("");
  before.group = readFileAt(etc, "group").value_or("");
  before.gshadow = readFileAt(etc, "gshadow").value_or("");
  AccountFiles after = before;
  Account account = addAccount(after, wanted, configuration.timeNs / kDay);
  if (after != before) {
    // The account's existence says that all of this was done, so passwd comes last.
    makeHome(account);
    replaceFile(etc, "group", after.group, 0644);
    if (!after.gshadow.empty()) replaceFile(etc, "gshadow", after.gshadow, 0600);
    replaceFile(etc, "shadow", after.shadow, 0600);
    replaceFile(etc, "passwd", after.passwd, 0644);
  }
  if (std::optional<Fd> sudoers = findDirectory("etc/sudoers.d"))
    replaceFile(*sudoers, "90-cove", wanted.name + " ALL=(ALL:ALL) NOPASSWD: ALL\n", 0440);
  return true;
}

void setAuthorizedKeys(const Configuration& configuration) {
  std::string keys;
  for (const std::string& key : configuration.authorizedKeys) keys += key + "\n";
  Fd dir = makeDirectory("run/cove/authorized_keys");
  // sshd reads them as the user who logs in.
  replaceFile(dir, "root", keys, 0644);
  if (configuration.user.name != "root") replaceFile(dir, configuration.user.name, keys, 0644);
  if (std::optional<Fd> ssh = findDirectory("etc/ssh/sshd_config.d"))
    replaceFile(*ssh, "50-cove.conf",
                "AuthorizedKeysFile .ssh/authorized_keys /run/cove/authorized_keys/%u\n", 0644);
}

}  // namespace cove::agent
