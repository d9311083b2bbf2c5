// The first process of a machine: everything between the kernel and the guest's own init.
//
// The order is the argument: drivers before the disk, the disk before the root, and the agent last, as a
// process of the guest's root that is there before the guest's init and is no unit of it.
#pragma once

namespace cove::agent {

// `arguments`: main's argv. Never returns: becomes the guest's init, or ends the machine with one line on the
// console that says why.
[[noreturn]] void boot(char** arguments) noexcept;

}  // namespace cove::agent
