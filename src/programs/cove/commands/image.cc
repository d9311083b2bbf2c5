#include <ctime>

#include "base/text.h"
#include "cove/commands/all.h"
#include "cove/context.h"
#include "cove/instance_record.h"
#include "cove/lifecycle.h"
#include "cove/output.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr std::string_view kListHelp = R"(
Lists the images that instances are made from, with their age and the instances that use them. An image is made
when the first instance needs it and stays as it is: `cove image pull` makes a new one of today's packages.

SAVED is what machines take that were saved of it for `cove run` to begin from, on disk, and in memory while the daemon
has them there.
)";

constexpr std::string_view kPullHelp = R"(
Builds the image of an operating system anew from the distribution's archive and prints its digest. New instances
are made from it; those that exist keep the image that they were made from.
)";

constexpr std::string_view kDeleteHelp = R"(
Deletes an image, by its digest or the beginning of it. One that an instance uses is refused.
)";

class ImageList final : public Action {
 public:
  void declare(Arguments& arguments) override { output_.declare(arguments); }

  int run(Context& context) override {
    auto response = context.wait(context.daemon().imagesRequest().send());
    std::vector<Record> records;
    for (auto image : response.getImages()) records.push_back(record(image));
    if (records.empty() && output_.isTable()) context.say("no images; cove image pull debian:12 makes one");
    writeOut(output_.list(records));
    return 0;
  }

 private:
  static std::string saved(rpc::ImageInfo::Reader image) {
    if (image.getSavedDisk() == 0) return "-";
    std::string text = formatSize(image.getSavedDisk());
    if (image.getSavedMemory() > 0) text += cove::str(", ", formatSize(image.getSavedMemory()), " in memory");
    return text;
  }

  static Record record(rpc::ImageInfo::Reader image) {
    constexpr size_t kShortDigest = 12;
    std::vector<std::string> usedBy;
    for (auto name : image.getUsedBy()) usedBy.emplace_back(name.cStr());
    std::string digest = cove::str(image.getDigest());
    int64_t age = time(nullptr) - image.getBuiltAt();
    return {
        {"digest", digest, "DIGEST", digest.substr(0, kShortDigest)},
        {"os", cove::str(image.getOs()), "OS"},
        {"variant", cove::str(image.getVariant()), "VARIANT"},
        {"size", int64_t(image.getSize()), "SIZE", formatSize(image.getSize())},
        {"saved", int64_t(image.getSavedDisk()), "SAVED", saved(image)},
        {"savedMemory", int64_t(image.getSavedMemory())},
        {"age", age, "AGE", formatAge(age)},
        {"usedBy", usedBy, "USED BY"},
        {"builtAt", formatTime(image.getBuiltAt())},
    };
  }

  Output output_;
};

class ImagePull final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.positional("OS", os_, "as in debian:12").completes(Completion::kOs);
    arguments.option("--variant", "NAME", variant_, "set of packages: default or minimal");
  }

  int run(Context& context) override {
    auto request = context.daemon().imagePullRequest();
    request.setOs(os_);
    request.setVariant(variant_);
    request.setProgress(context.progressClient());
    std::string digest = undoneOnInterrupt(context, [&] {
      auto response = context.wait(request.send());
      return std::string(response.getDigest().cStr());
    });
    context.progress().clear();
    writeOut(escapeForTerminal(digest) + "\n");
    return 0;
  }

 private:
  std::string os_, variant_;
};

class ImageDelete final : public Action {
 public:
  void declare(Arguments& arguments) override {
    arguments.positional("DIGEST", digest_, "the image").completes(Completion::kImage);
  }

  int run(Context& context) override {
    auto request = context.daemon().imageDeleteRequest();
    request.setDigest(resolve(context));
    context.wait(request.send());
    return 0;
  }

 private:
  // The one digest that begins so.
  std::string resolve(Context& context) const {
    auto response = context.wait(context.daemon().imagesRequest().send());
    std::vector<std::string> found;
    for (auto image : response.getImages()) {
      if (std::string_view(image.getDigest().cStr()).starts_with(digest_))
        found.emplace_back(image.getDigest().cStr());
    }
    if (found.size() == 1 && !digest_.empty()) return found[0];
    throw Error(cove::str(found.empty() ? "there is no image " : "several images begin with ",
                          escapeForTerminal(digest_)))
        .hint("See: cove image list");
  }

  std::string digest_;
};

}  // namespace

constinit const Command kImageList = {
    .name = "image list",
    .summary = "List images",
    .help = kListHelp,
    .needs = Needs::kDaemon,
    .make = makeAction<ImageList>,
};
constinit const Command kImagePull = {
    .name = "image pull",
    .summary = "Build an image anew, of today's packages",
    .help = kPullHelp,
    .needs = Needs::kDaemon,
    .make = makeAction<ImagePull>,
};
constinit const Command kImageDelete = {
    .name = "image delete",
    .summary = "Delete an image that no instance uses",
    .help = kDeleteHelp,
    .needs = Needs::kDaemon,
    .make = makeAction<ImageDelete>,
};

}  // namespace cove::cli
