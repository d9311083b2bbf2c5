// Paths of requests: checked, and split where the last component matters.
#pragma once
#include <capnp/blob.h>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace cove {

// An absolute path; a relative one begins in the home of the server's user. Throws on a zero byte or on more
// than kPathBytes.
std::string resolvePath(capnp::Text::Reader path);

// A path's last component, in the directory that holds it (O_PATH; symlinks on the way are followed: whoever
// asks may go there anyway). Throws where there is no last component, as in "/".
struct Place {
  Fd directory;
  std::string name;
};
Place placeOf(const std::string& path);

// One component: not empty, ".", "..", at most 255 bytes, without '/' and zero bytes.
bool isSafeName(std::string_view name);
// "" or components as above, joined by single slashes, at most kPathBytes and kTreeDepth of them: all that a
// tree's sender may name.
bool isSafeTreePath(std::string_view path);

// What a file is called until it is whole. Unguessable, and tells a user what it is.
std::string temporaryName();

}  // namespace cove
