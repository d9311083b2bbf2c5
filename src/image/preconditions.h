// What must be there before an image is built. Each check is an Error with the command that mends it.
#pragma once
#include "base/child.h"
#include "image/build.h"
#include "image/recipe.h"
#include "image/store.h"

namespace cove::image {

// Sub-ids, programs and the archive's keys, memory, disk space, and a mirror that is an address.
void checkPreconditions(const Recipe& recipe, const BuildOptions& options, const Store& store);

// Why a build failed, from the end of its builder and the text of its log, whose last lines, escaped, are the
// end of the hint.
Error explainFailure(const Ended& ended, std::string_view log, const std::string& logPath);

}  // namespace cove::image
