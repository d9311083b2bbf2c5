// The last step of a build, after the sandbox has ended: its files become an image.
#pragma once
#include "base/fd.h"
#include "image/recipe.h"

namespace cove::image {

// Checks what lies in `staging`, makes it the caller's and read-only, and writes image.json and `digest`: the
// SHA-256 over all files' names and contents, the image's name in the store. Everything is flushed.
void seal(const Recipe& recipe, const Fd& staging);

}  // namespace cove::image
