#include "image/preconditions.h"

#include <algorithm>
#include <charconv>
#include <unistd.h>

#include "base/error.h"
#include "base/subids.h"
#include "base/text.h"

namespace cove::image {

namespace {

constexpr size_t kShownLines = 12;
constexpr size_t kShownBytes = 3000;

struct Needed {
  std::vector<const char*> paths;  // one of them
  const char* package;
};
const Needed kNeeded[] = {
    {{"/usr/bin/mmdebstrap"}, "mmdebstrap"},
    {{"/usr/sbin/mke2fs", "/sbin/mke2fs"}, "e2fsprogs"},
    {{"/usr/share/keyrings/debian-archive-keyring.gpg"}, "debian-archive-keyring"},
    {{"/usr/bin/gpgv"}, "gpgv"},
};

void checkPrograms() {
  std::string packages, paths;
  for (const Needed& needed : kNeeded) {
    bool there = std::any_of(needed.paths.begin(), needed.paths.end(),
                             [](const char* path) { return ::access(path, R_OK) == 0; });
    if (there) continue;
    packages += str(" ", needed.package);
    paths += str(paths.empty() ? "" : ", ", needed.paths[0]);
  }
  if (!packages.empty())
    throw Error("cannot build an image: not installed: " + paths)
        .hint("Install what is missing, then try again:\n  sudo apt-get install" + packages);
}

// The value of a line like "MemAvailable:   123 kB" in bytes, 0 when there is none.
uint64_t memoryLine(std::string_view text, std::string_view name) {
  size_t at = text.find(name);
  if (at == std::string_view::npos) return 0;
  at = text.find_first_not_of(' ', at + name.size());
  uint64_t kilobytes = 0;
  if (at != std::string_view::npos) std::from_chars(text.data() + at, text.data() + text.size(), kilobytes);
  return kilobytes * 1024;
}

void checkRoom(const Recipe& recipe, const BuildOptions& options, const Store& store) {
  if (uint64_t free = store.freeBytes(); free < recipe.diskBytes)
    throw Error(str("cannot build an image: it needs ", formatSize(recipe.diskBytes).c_str(), " in ",
                    options.storePath.c_str(), ", and ", formatSize(free).c_str(), " are free"))
        .hint("Make room there, or choose another place with COVE_HOME.");
  std::string memory = readFile("/proc/meminfo", 1 << 16);
  uint64_t available = memoryLine(memory, "MemAvailable:") + memoryLine(memory, "SwapFree:");
  if (available < recipe.memoryBytes)
    throw Error(str("cannot build an image: it needs ", formatSize(recipe.memoryBytes).c_str(),
                    " of memory for a while, and ", formatSize(available).c_str(), " are available"))
        .hint("Stop a machine or another program, then try again.");
}

void checkMirror(const std::string& mirror, const char* variable) {
  if (mirror.empty()) return;
  bool ok = (mirror.rfind("http://", 0) == 0 || mirror.rfind("https://", 0) == 0) && mirror.size() <= 1000;
  for (char c : mirror) ok = ok && c > ' ' && c < 0x7f && c != '[' && c != ']' && c != '"' && c != '\'';
  if (!ok)
    throw Error(str(variable, " is no address of a mirror: \"",
                    escapeForTerminal(mirror.substr(0, 200)).c_str(), "\""))
        .hint("It begins with http:// or https:// and ends before dists/: …/debian")
        .status(Exit::kUsage);
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string_view lastLines(std::string_view text) {
  if (text.size() > kShownBytes) text.remove_prefix(text.size() - kShownBytes);
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  size_t at = text.size();
  for (size_t lines = 0; lines < kShownLines && at != std::string_view::npos && at > 0; ++lines)
    at = text.rfind('\n', at - 1);
  return at == std::string_view::npos || at == 0 ? text : text.substr(at + 1);
}

}  // namespace

void checkPreconditions(const Recipe& recipe, const BuildOptions& options, const Store& store) {
  checkMirror(options.mirror, "COVE_MIRROR");
  checkMirror(options.securityMirror, "COVE_SECURITY_MIRROR");
  subIdMap();
  checkPrograms();
  checkRoom(recipe, options, store);
}

Error explainFailure(const Ended& ended, std::string_view log, const std::string& logPath) {
  std::string reason = "the builder ended with " + ended.describe();
  std::string hint;
  if (contains(log, "Temporary failure resolving") || contains(log, "Could not resolve") ||
      contains(log, "Could not connect") || contains(log, "Unable to connect") ||
      contains(log, "Failed to fetch")) {
    reason = "the mirror of Debian's archive cannot be reached";
    hint = "Check the network; set http_proxy where a proxy is needed, or COVE_MIRROR for another mirror.";
  }
  if (contains(log, "does not have a Release file") || contains(log, "NOSPLIT")) {
    reason = "what the mirror served is no archive of this release";
    hint =
        "Check the address of the mirror. A network that wants a login first also answers in the archive's "
        "place.";
  }
  // What was not fetched at all is "not signed" for apt as well.
  bool fetched = !contains(log, "Failed to fetch");
  if ((fetched && contains(log, "is not signed")) || contains(log, "BADSIG") || contains(log, "NO_PUBKEY")) {
    reason = "the archive's signature is not valid";
    hint =
        "The mirror, or something on the way to it, changed the archive, or the keys here are too old:\n"
        "  sudo apt-get install debian-archive-keyring";
  }
  if (contains(log, "No space left on device")) {
    reason = "no space left";
    hint = "Make room in the state directory, then try again.";
  }
  if (!hint.empty()) hint += "\n";
  hint += "The last lines of " + logPath + ":\n" + escapeForTerminal(lastLines(log), true);
  return Error(str("cannot build the image: ", reason.c_str())).hint(std::move(hint));
}

}  // namespace cove::image
