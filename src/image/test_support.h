// A store in a directory of its own, and images that are small files.
#pragma once
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>

#include "base/directory.h"
#include "base/fd.h"
#include "image/files.h"
#include "image/store.h"

namespace cove::image {

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    char path[] = "/tmp/cove-store-XXXXXX";
    path_ = ::mkdtemp(path);
    dir_ = openFile(path_, O_RDONLY | O_DIRECTORY);
  }
  ~StoreTest() override { removeTree(openFile("/tmp", O_RDONLY | O_DIRECTORY), path_.substr(5)); }

  static std::string digestOf(char digit) { return std::string(64, digit); }
  static Manifest manifest(const std::string& key, int64_t builtAt) {
    return {"debian:12",           "default", "bookworm",     "amd64", key, builtAt,
            "6.1.0-1-cloud-amd64", {},        {{"dash", "1"}}};
  }
  static void write(const Fd& dir, const std::string& name, std::string_view content) {
    writeAll(openAt(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600), content, name);
  }
  static void fill(const Fd& dir, char digit, const std::string& key, int64_t builtAt) {
    write(dir, kManifestName, manifest(key, builtAt).encode());
    for (const char* name : {kRootName, kKernelName, kModulesName}) write(dir, name, name);
    write(dir, kDigestName, digestOf(digit));
  }
  static Image add(Store& store, char digit, const std::string& key, int64_t builtAt) {
    Staging staging = store.stage();
    fill(staging.dir(), digit, key, builtAt);
    return store.commit(std::move(staging));
  }
  Store open() { return Store(dir_.duplicate()); }
  // What lies in the store but images, locks and logs.
  std::vector<std::string> hidden() {
    std::vector<std::string> names;
    for (const std::string& name : entriesOf(dir_))
      if (name[0] == '.') names.push_back(name);
    return names;
  }

  std::string path_;
  Fd dir_;
};

}  // namespace cove::image
