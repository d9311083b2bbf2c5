#include "image/request.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"

namespace cove::image {

namespace {
using nlohmann::json;
constexpr size_t kLongestStep = 200;
constexpr size_t kPackages = 10'000;

// `read` of the parsed text; whatever does not fit is one Error that names `what`.
template <typename F>
auto parse(const char* what, std::string_view text, F read) {
  try {
    return read(json::parse(text));
  } catch (const json::exception& e) {
    throw Error(str("cannot read ", what, ": ", escapeForTerminal(e.what()).c_str()));
  }
}

std::vector<std::pair<std::string, std::string>> packagesOf(const json& j) {
  auto packages = j.at("packages").get<std::vector<std::pair<std::string, std::string>>>();
  if (packages.size() > kPackages) throw Error("cannot use a list of more than 10000 packages");
  return packages;
}

// It names a directory below /lib/modules.
std::string kernelReleaseOf(const json& j) {
  auto release = j.at("kernelRelease").get<std::string>();
  bool ok = !release.empty() && release.size() <= 64 && release[0] != '.';
  for (char c : release)
    ok = ok && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                std::string_view("+-._~").find(c) != std::string_view::npos);
  if (!ok) throw Error("cannot use the kernel release \"" + escapeForTerminal(release) + "\"");
  return release;
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}
}  // namespace

std::string BuildRequest::encode() const {
  return json{{"os", os.name()},
              {"variant", os.variant},
              {"mirror", mirror},
              {"securityMirror", securityMirror},
              {"environment", environment}}
      .dump();
}

BuildRequest BuildRequest::decode(std::string_view text) {
  return parse("the build request", text, [](const json& j) {
    BuildRequest r;
    r.os = parseOs(j.at("os").get<std::string>(), j.at("variant").get<std::string>());
    r.mirror = j.at("mirror").get<std::string>();
    r.securityMirror = j.at("securityMirror").get<std::string>();
    r.environment = j.at("environment").get<std::vector<std::string>>();
    return r;
  });
}

std::string Progress::encode() const { return str(done, " ", total, " ", step.c_str(), "\n"); }

std::optional<Progress> Progress::decode(std::string_view line) {
  size_t first = line.find(' ');
  size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos || line.size() - second > kLongestStep) return std::nullopt;
  auto done = number(line.substr(0, first)), total = number(line.substr(first + 1, second - first - 1));
  if (!done || !total) return std::nullopt;
  return Progress{escapeForTerminal(line.substr(second + 1)), *done, *total};
}

std::string Manifest::encode() const {
  return json{{"os", os},
              {"variant", variant},
              {"suite", suite},
              {"architecture", architecture},
              {"recipeKey", recipeKey},
              {"builtAt", builtAt},
              {"kernelRelease", kernelRelease},
              {"kernelArguments", kernelArguments},
              {"packages", packages}}
             .dump(1) +
         "\n";
}

Manifest Manifest::decode(std::string_view text) {
  return parse("image.json", text, [](const json& j) {
    Manifest m;
    m.os = j.at("os").get<std::string>();
    m.variant = j.at("variant").get<std::string>();
    m.suite = j.at("suite").get<std::string>();
    m.architecture = j.at("architecture").get<std::string>();
    m.recipeKey = j.at("recipeKey").get<std::string>();
    m.builtAt = j.at("builtAt").get<int64_t>();
    m.kernelRelease = kernelReleaseOf(j);
    m.kernelArguments = j.at("kernelArguments").get<std::vector<std::string>>();
    m.packages = packagesOf(j);
    return m;
  });
}

std::string Assembled::encode() const {
  return json{{"kernelRelease", kernelRelease}, {"packages", packages}}.dump();
}

Assembled Assembled::decode(std::string_view text) {
  return parse("what the sandbox reported", text, [](const json& j) {
    return Assembled{kernelReleaseOf(j), packagesOf(j)};
  });
}

}  // namespace cove::image
