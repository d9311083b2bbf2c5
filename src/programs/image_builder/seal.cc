#include "image_builder/seal.h"

#include <ctime>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "image/files.h"
#include "image/request.h"

namespace cove::image {

namespace {

// The sandbox could have left anything there, under any owner.
Fd takeOver(const Fd& staging, const char* name) {
  Fd file = openBeneath(staging, name, O_RDONLY | O_NONBLOCK);
  struct stat st = statOf(file, name);
  if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
    throw Error(str("cannot use ", name, " of the new image: it is no plain file"));
  check(::fchown(file.get(), ::geteuid(), ::getegid()), "take over", name);
  check(::fchmod(file.get(), 0400), "protect", name);
  return file;
}

}  // namespace

void seal(const Recipe& recipe, const Fd& staging) {
  Fd report = takeOver(staging, "assembled.json");
  Assembled assembled = Assembled::decode(readAll(report, 4 << 20, "assembled.json"));
  check(::unlinkat(staging.get(), "assembled.json", 0), "remove", "assembled.json");

  Manifest m;
  m.os = recipe.os.name();
  m.variant = recipe.os.variant;
  m.suite = recipe.os.suite;
  m.architecture = recipe.architecture;
  m.recipeKey = recipe.key();
  m.builtAt = ::time(nullptr);
  m.kernelRelease = assembled.kernelRelease;
  m.kernelArguments = recipe.kernelArguments;
  m.packages = assembled.packages;
  writeFileAtomic(staging, kManifestName, m.encode(), 0400);

  DigestBuilder digest;
  for (const char* name : kImageFiles) {
    Fd file = takeOver(staging, name);
    digest.add(name, file);
    check(::fsync(file.get()), "flush", name);
  }
  check(::fchown(staging.get(), ::geteuid(), ::getegid()), "take over", "the staging directory");
  writeFileAtomic(staging, kDigestName, digest.finish(), 0600);
}

}  // namespace cove::image
