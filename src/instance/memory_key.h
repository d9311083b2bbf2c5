// The key of suspended machines' memory. It lies outside of the state directory (base/paths.h), so that a
// copy of that, a backup for example, tells nothing of what was in memory. Only the daemon reads it; a
// supervisor gets the key of one file, which is made of it.
#pragma once
#include "machine/state_file.h"

namespace cove {

// For a new file. The user's key is made (0600) when there is none.
StateKey newStateKey();
// Of a file that has this salt. An Error where the user's key is missing, or others can read it.
StateKey stateKeyOf(const StateSalt& salt);

}  // namespace cove
