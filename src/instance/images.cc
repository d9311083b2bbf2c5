#include "instance/images.h"

#include <cerrno>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

namespace cove {

namespace {

Fd openImagesDir(const StateDir& state) {
  if (::mkdirat(state.fd.get(), kImagesName, 0700) != 0 && errno != EEXIST)
    throw sysError("make the directory", str(state.path, "/", kImagesName));
  return openBeneath(state.fd, kImagesName, O_RDONLY | O_DIRECTORY);
}

}  // namespace

Images::Images(kj::AsyncIoContext& io, const StateDir& state, const Records& records, Activity& activity)
    : io_(io), state_(state), records_(records), activity_(activity), store_(openImagesDir(state)) {}

image::BuildOptions Images::options() const {
  image::BuildOptions options = image::buildOptionsFrom(environ);
  options.storePath = str(state_.path, "/", kImagesName);
  return options;
}

co::Co<image::Image> Images::ensure(image::Os os, image::ProgressCallback progress) {
  auto image = co_await image::build(io_.unixEventPort, io_.provider->getTimer(), store_, std::move(os),
                                     options(), std::move(progress));
  co_return image;
}

co::Co<image::Image> Images::pull(image::Os os, image::ProgressCallback progress) {
  auto entry = activity_.begin("pulling", "image " + os.name());
  image::BuildOptions anew = options();
  anew.rebuild = true;
  auto image = co_await image::build(io_.unixEventPort, io_.provider->getTimer(), store_, std::move(os),
                                     std::move(anew), std::move(progress));
  co_return image;
}

void Images::remove(const std::string& digest) {
  auto users = records_.usersOf(digest);
  if (!users.empty() || pinned_.count(digest) > 0)
    throw Error(str("cannot delete the image ", digest.substr(0, 12), ": ",
                    users.empty() ? "an instance is just being made from it" : users[0] + " uses it"));
  store_.remove(digest);
}

}  // namespace cove
