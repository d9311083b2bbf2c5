#include "image/modules.h"

#include <functional>
#include <lzma.h>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "image/cpio.h"

namespace cove::image {

namespace {

constexpr size_t kLargestModule = 64 << 20;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

bool endsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string unpackXz(std::string_view packed, const std::string& name) {
  std::string out(1 << 20, '\0');
  for (;; out.resize(out.size() * 4)) {
    uint64_t memory = 256 << 20;
    size_t in = 0, done = 0;
    lzma_ret result =
        lzma_stream_buffer_decode(&memory, 0, nullptr, reinterpret_cast<const uint8_t*>(packed.data()), &in,
                                  packed.size(), reinterpret_cast<uint8_t*>(out.data()), &done, out.size());
    if (result == LZMA_OK) {
      out.resize(done);
      return out;
    }
    if (result != LZMA_BUF_ERROR || out.size() >= kLargestModule)
      throw Error(
          str("cannot unpack the kernel module ", name.c_str(), ": xz error ", static_cast<int>(result)));
  }
}

}  // namespace

std::string moduleName(std::string_view path) {
  size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) path.remove_prefix(slash + 1);
  std::string name(path.substr(0, path.find('.')));
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
}

ModuleIndex::ModuleIndex(std::string_view dependencies, std::string_view builtin) {
  for (std::string_view line : split(builtin, '\n')) modules_[moduleName(line)] = {};
  for (std::string_view line : split(dependencies, '\n')) {
    size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0)
      throw Error(str("cannot use modules.dep: no module in the line \"",
                      escapeForTerminal(line.substr(0, 200)).c_str(), "\""));
    Module module{std::string(line.substr(0, colon)), {}};
    for (std::string_view need : split(line.substr(colon + 1), ' ')) module.needs.push_back(moduleName(need));
    modules_[moduleName(module.path)] = std::move(module);
  }
}

std::vector<std::string> ModuleIndex::loadOrder(const std::vector<std::string>& names) const {
  std::vector<std::string> order;
  std::set<std::string> done, open;
  std::function<void(const std::string&)> visit = [&](const std::string& name) {
    if (done.count(name) != 0) return;
    auto found = modules_.find(name);
    if (found == modules_.end()) throw Error("the kernel has no module " + escapeForTerminal(name));
    if (!open.insert(name).second) throw Error("kernel modules need each other: " + escapeForTerminal(name));
    for (const std::string& need : found->second.needs) visit(need);
    done.insert(name);
    if (!found->second.path.empty()) order.push_back(found->second.path);
  };
  for (const std::string& name : names) visit(moduleName(name));
  return order;
}

std::string readModule(const Fd& directory, const std::string& path) {
  std::string content = readAll(openBeneath(directory, path, O_RDONLY), kLargestModule, path);
  if (endsWith(path, ".ko")) return content;
  if (endsWith(path, ".ko.xz")) return unpackXz(content, path);
  throw Error("cannot unpack the kernel module " + escapeForTerminal(path) + ": unknown compression");
}

std::string moduleArchive(const Fd& directory, std::string_view release, const ModuleIndex& index,
                          const std::vector<std::string>& names) {
  CpioWriter archive;
  std::string base = str("lib/modules/", std::string(release).c_str());
  for (const char* made : {"lib", "lib/cove", "lib/modules"}) archive.directory(made);
  archive.directory(base);
  std::string list;
  // Flat: the list says where they are, nobody looks for them.
  for (const std::string& path : index.loadOrder(names)) {
    std::string target = base + "/" + moduleName(path) + ".ko";
    archive.file(target, readModule(directory, path));
    list += "/" + target + "\n";
  }
  archive.file("lib/cove/modules", list);
  return std::move(archive).finish();
}

}  // namespace cove::image
