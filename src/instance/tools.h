// What an instance is made of, made by other programs: never waits, so that the daemon goes on serving.
#pragma once
#include <functional>
#include <kj/async-unix.h>
#include <string>
#include <vector>

#include "base/fd.h"
#include "rpc/co.h"

namespace cove {

// Runs a program in `dir`, or where the daemon is with `file` as its descriptor 3; killed when the promise is
// dropped. A failure is an Error with what it said.
co::Co<void> runTool(kj::UnixEventPort& port, Fd dir, std::vector<std::string> argv, Fd file = {});
// Runs `body` in a forked child: for work that waits for the disk. `what` is for the Error, as in "delete x".
co::Co<void> runForked(kj::UnixEventPort& port, std::string what, std::function<void()> body);

// `key` and `key.pub` in `dir`, ed25519, without a passphrase, 0600.
co::Co<void> makeKeyPair(kj::UnixEventPort& port, Fd dir, const std::string& comment);
// An empty qcow2 of that size in `dir`. No backing file is named in it: its reader is told.
co::Co<void> makeDisk(kj::UnixEventPort& port, Fd dir, std::string name, uint64_t bytes);

}  // namespace cove
