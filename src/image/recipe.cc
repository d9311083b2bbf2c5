#include "image/recipe.h"

#include <sodium.h>

#include "base/text.h"

namespace cove::image {

namespace {

// Raised whenever the same packages are to give another image than before.
constexpr int kBuilderVersion = 2;

// What every image needs to be reached: systemd as process 1, udev for /dev, kmod to load what the initrd did
// not.
const std::vector<std::string> kMinimalPackages = {"systemd", "systemd-sysv", "udev", "kmod"};

// No man-db and no locales: C.UTF-8 is built into libc, and both are one apt-get away. Manual pages and
// translations of what is installed stay in the image (60 MB that are never read from it otherwise), because
// who installs man-db or a locale later would find them missing for the base system.
const std::vector<std::string> kDefaultPackages = {
    "ca-certificates", "dbus",   "dbus-user-session",
    "iproute2",        "less",   "libpam-systemd",  // user sessions
    "openssh-server",  "procps", "sudo",
    "vim-tiny",
};

// The agent has set eth0 before systemd starts; libslirp answers DNS there with the host's resolver. The
// second one is for hosts whose only name servers have IPv6 addresses: the first says at once that it has
// none to ask.
constexpr const char* kResolvConf = "nameserver 10.0.2.3\nnameserver fec0::3\n";

constexpr const char* kHosts =
    "127.0.0.1 localhost\n"
    "::1 localhost ip6-localhost ip6-loopback\n"
    "ff02::1 ip6-allnodes\n"
    "ff02::2 ip6-allrouters\n";

// Only the machine's owner reaches its serial console, through a socket in his own directory: he is root
// there anyway by `cove run`, and a password would lock out who repairs a machine whose agent does not
// answer.
constexpr const char* kConsoleLogin =
    "[Service]\n"
    "ExecStart=\n"
    "ExecStart=-/sbin/agetty --autologin root --wait-cr --noclear --keep-baud 115200,57600,38400,9600 %I "
    "$TERM\n";

// A key that the image brought would be the same in all machines. A unit of its own, not ExecStartPre of the
// server: in Debian 13's sshd@.service, one for each connection, standard output is the connection.
constexpr const char* kSshKeyService =
    "[Unit]\n"
    "Description=SSH host key of this machine\n"
    "ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key\n"
    "[Service]\n"
    "Type=oneshot\n"
    "ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N \"\" -C \"\" -f /etc/ssh/ssh_host_ed25519_key\n";
constexpr const char* kSshNeedsKey =
    "[Unit]\n"
    "Wants=cove-ssh-key.service\n"
    "After=cove-ssh-key.service\n";

constexpr uint64_t kMB = 1000 * 1000;

void addMinimal(Recipe& r) {
  r.packages = kMinimalPackages;
  r.files = {
      {"/etc/resolv.conf", kResolvConf},
      {"/etc/hosts", kHosts},
      // Empty, not "uninitialized": systemd makes an id for each machine without a first-boot run, which
      // would reset every unit to its preset.
      {"/etc/machine-id", "", 0444},
      {"/etc/fstab", "# The root file system is mounted before systemd starts.\n"},
      {"/etc/systemd/system/serial-getty@ttyS0.service.d/cove.conf", kConsoleLogin},
  };
  r.removedFiles = {"/etc/hostname",  // the agent sets the instance's name
                    "/var/lib/systemd/random-seed", "/var/lib/dbus/machine-id"};
  r.disabledUnits = {
      "getty@tty1.service",       // there is no display
      "apt-daily.timer",          // a machine that nobody asked to upgrade does not take the network, the
      "apt-daily-upgrade.timer",  // processor and dpkg's lock minutes after its start
      "dpkg-db-backup.timer",     // daily copies of a database that the image can restore
      "e2scrub_all.timer",        // needs LVM
      "e2scrub_reap.service",     // 2 s of each boot, to clean up after LVM snapshots that cannot exist
  };
  r.maskedUnits = {
      "systemd-pstore.service",  // no pstore in these machines
      // Each is a process in every boot. There is no display, and device-mapper and loop devices load their
      // modules when /dev/mapper/control or /dev/loop-control is opened.
      "modprobe@drm.service",
      "modprobe@dm_mod.service",
      "modprobe@loop.service",
      "modprobe@efi_pstore.service",
  };
}

void addDefault(Recipe& r) {
  r.packages.insert(r.packages.end(), kDefaultPackages.begin(), kDefaultPackages.end());
  r.removedFiles.push_back("/etc/ssh/ssh_host_*");
  r.files.push_back({"/etc/systemd/system/cove-ssh-key.service", kSshKeyService});
  r.files.push_back({"/etc/systemd/system/ssh.service.d/cove.conf", kSshNeedsKey});
  r.files.push_back({"/etc/systemd/system/sshd@.service.d/cove.conf", kSshNeedsKey});
  r.disabledUnits.push_back("ssh.service");  // 0.8 s of each boot; the socket starts it for who connects
  r.enabledUnits.push_back("ssh.socket");
}

}  // namespace

Recipe recipeFor(const Os& os) {
  Recipe r;
  r.os = os;
  r.architecture = "amd64";
  r.kernelPackage = "linux-image-cloud-amd64";
  r.modules = {"virtio_pci", "virtio_blk", "virtio_console", "virtio_net", "virtio_rng", "ext4"};
  addMinimal(r);
  if (os.variant == "default") addDefault(r);
  bool full = os.variant == "default";
  r.downloadBytes = (full ? 120 : 100) * kMB;
  r.diskBytes = (full ? 500 : 400) * kMB;
  r.memoryBytes = (full ? 800 : 700) * kMB;
  return r;
}

std::string Recipe::key() const {
  std::string text = str("builder ", kBuilderVersion, "\n", os.suite.c_str(), "\n", architecture.c_str(),
                         "\n", kernelPackage.c_str(), "\n");
  for (const std::string& package : packages) text += package + "\n";
  unsigned char hash[crypto_hash_sha256_BYTES];
  crypto_hash_sha256(hash, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  char hex[17];
  sodium_bin2hex(hex, sizeof hex, hash, 8);
  return hex;
}

}  // namespace cove::image
