// Images, and the machines that are saved of them.
#include "base/error.h"
#include "coved/progress_sender.h"
#include "coved/service.h"
#include "image/files.h"

namespace cove {

kj::Promise<void> DaemonService::images(ImagesContext context) { return listImages(context); }
kj::Promise<void> DaemonService::imagePull(ImagePullContext context) { return pullImage(context); }
kj::Promise<void> DaemonService::imageDelete(ImageDeleteContext context) { return deleteImage(context); }
kj::Promise<void> DaemonService::prune(PruneContext context) { return pruneSaved(context); }

co::Co<void> DaemonService::listImages(ImagesContext context) {
  co_await recovered();
  auto images = parts_.images.list();
  auto results = context.getResults().initImages(static_cast<unsigned>(images.size()));
  for (unsigned i = 0; i < images.size(); ++i) {
    const image::Image& image = images[i];
    results[i].setDigest(image.digest);
    results[i].setOs(image.manifest.os);
    results[i].setVariant(image.manifest.variant);
    results[i].setBuiltAt(image.manifest.builtAt);
    results[i].setSize(image.size);
    auto users = parts_.images.usersOf(image.digest);
    auto names = results[i].initUsedBy(static_cast<unsigned>(users.size()));
    for (unsigned j = 0; j < users.size(); ++j) names.set(j, users[j]);
    auto saved = parts_.saved.usageOf(image.digest);
    results[i].setSavedDisk(saved.disk);
    results[i].setSavedMemory(saved.memory);
  }
}

co::Co<void> DaemonService::pullImage(ImagePullContext context) {
  auto params = context.getParams();
  image::Os os = image::parseOs(std::string(params.getOs()), std::string(params.getVariant()));
  auto progress = sendProgress(params.getProgress());
  context.releaseParams();
  context.allowCancellation();  // dropping the build ends it and leaves nothing
  co_await recovered();
  image::Image image = co_await parts_.images.pull(std::move(os), std::move(progress));
  context.getResults().setDigest(image.digest);
}

co::Co<void> DaemonService::deleteImage(ImageDeleteContext context) {
  co_await recovered();
  std::string digest(context.getParams().getDigest());
  if (!image::isDigest(digest)) throw Error("not an image's digest").status(Exit::kUsage);
  co_await parts_.instances.endWaiting();
  parts_.images.remove(digest);
  parts_.saved.removeOf(digest);
}

co::Co<void> DaemonService::pruneSaved(PruneContext context) {
  co_await recovered();
  co_await parts_.instances.endWaiting();
  context.getResults().setFreed(parts_.saved.prune(context.getParams().getAll()));
}

}  // namespace cove
