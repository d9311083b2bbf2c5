// The API file systems that a Linux machine has before its init runs, with the options that systemd would
// give them, so that it leaves them as they are.
#pragma once
#include <string>

namespace cove::agent {

// /proc, /sys, /dev (with pts and shm), /run and the cgroup tree.
void mountApiFileSystems();

// Makes `root`, a mounted file system, the root of this process, and moves what mountApiFileSystems() mounted
// below it. The initrd stays as the file system beneath; whoever wants its memory back removes its files
// first.
void switchRoot(const std::string& root);

}  // namespace cove::agent
