// Changes to the guest's configuration files. All of it happens below directories that only root can write,
// by descriptor and without following symlinks.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace cove::agent {

// A directory below the root file system, "etc/ssh"; nullopt where there is none. No component may be a
// symlink.
std::optional<Fd> findDirectory(const std::string& path);
// Made where it is missing, 0755, with all its parents.
Fd makeDirectory(const std::string& path);

// At most 1 MiB; nullopt where there is none.
std::optional<std::string> readFileAt(const Fd& dir, const std::string& name);

// Replaces the file by rename, unless it holds `data` already. An existing file keeps its owner and mode; a
// new one is root's, with `mode`. Not flushed: ext4 writes a file out before the rename that puts it in place
// (auto_da_alloc), so that a crash leaves the old one or the new one, and the next start does it again.
void replaceFile(const Fd& dir, const std::string& name, std::string_view data, mode_t mode);

// A unit of systemd's for this boot, which `target` starts. Before systemd.
void writeUnit(const std::string& name, std::string_view unit, const std::string& target);

// The lock of lckpwdf(3), which useradd, passwd, vipw and systemd-sysusers take. nullopt while another has
// it.
std::optional<Fd> lockAccounts(const Fd& etc);

// The line of `name` in the text of /etc/hosts: 127.0.1.1, as Debian's installer has it.
std::string withHostName(std::string hosts, std::string_view name);

}  // namespace cove::agent
