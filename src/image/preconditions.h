// What must be there before an image is built. Each check is an Error with the command that mends it.
#pragma once
#include "image/build.h"
#include "image/recipe.h"
#include "image/store.h"

namespace cove::image {

// Sub-ids, programs and the archive's keys, memory, disk space, and a mirror that is an address.
void checkPreconditions(const Recipe& recipe, const BuildOptions& options, const Store& store);

// Why a build failed, from the text of its log: what is known, else the last lines, escaped.
Error explainFailure(std::string_view log, const std::string& logPath);

}  // namespace cove::image
