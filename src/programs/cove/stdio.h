// The three descriptors that cove was started with.
//
// None of them ever gets O_NONBLOCK: they are open files shared with other programs.
#pragma once
#include <string_view>

namespace cove::cli {

// To be called first: where 0, 1 or 2 is closed, /dev/null is opened there in the wrong direction, so that no
// other file gets that number and its use fails as it should.
void guardStandardDescriptors();

// Writes results. A reader that has gone ends the process by SIGPIPE, as it would any other tool; every other
// failure (closed, full) is an Error.
void writeOut(std::string_view text);

// Writes messages. Failures are ignored: there is no place to tell of them.
void writeErr(std::string_view text);

}  // namespace cove::cli
