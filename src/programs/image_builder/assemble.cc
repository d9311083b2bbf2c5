#include "image_builder/assemble.h"

#include <algorithm>
#include <filesystem>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "base/text.h"
#include "image/log_progress.h"
#include "image/modules.h"
#include "image/recipe.h"
#include "image_builder/command.h"
#include "image_builder/sandbox.h"

namespace cove::image {

namespace {
namespace fs = std::filesystem;

constexpr size_t kLargestText = 64 << 20;

// Runs after all packages are configured, while mmdebstrap's apt still knows the archive. The meta package
// says which kernel; apt checks its hash against the signed index.
constexpr const char* kFetchKernel =
    "set -eu; cd \"$1\"; export APT_CONFIG=\"$MMDEBSTRAP_APT_CONFIG\"\n"
    "kernel=$(apt-cache --no-all-versions show \"$2\" | sed -n 's/^Depends: *\\(linux-image-[^ "
    ",]*\\).*/\\1/p')\n"
    "apt-get --yes download \"$kernel\"\n";

// ext4 that grows into the instance's overlay at its first boot, which must cost little.
constexpr const char* kFileSystem[] = {
    "-qF", "-text4", "-b4096", "-I256", "-i16384", "-m1", "-Lroot", "-Jsize=32",
    // A transaction for each 32 GiB of growth instead of 2 GiB: measured 2 to 3 times faster.
    "-G256",
    // Room for descriptors up to 1 TiB (beyond that the kernel adds meta_bg); more would be written out in
    // each backup. The file is sparse: nothing needs to be zeroed.
    "-Eresize=1T,lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0"};
// Nor in the guest: a fresh overlay reads as zeros, and its kernel would write gigabytes of inode tables into
// it.
constexpr const char* kMountOptions = "mount_opts=noinit_itable";

class Assembler {
 public:
  Assembler(const BuildRequest& request, const Fd& progress)
      : request_(request), recipe_(recipeFor(request.os)), progress_(progress) {
    environment_ = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                    "TMPDIR=/tmp", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"};
    environment_.insert(environment_.end(), request.environment.begin(), request.environment.end());
  }

  void run() {
    installPackages();
    unpackKernel();
    configure();
    report("making the file system");
    makeDisk();
    writeOut("assembled.json", Assembled{release_, packages()}.encode());
  }

 private:
  void report(const Progress& p) { writeAll(progress_, p.encode(), "the progress"); }
  void report(const char* step) { report(Progress{step, 0, 0}); }

  std::vector<std::string> sources() const {
    if (request_.mirror.empty()) return {};  // mmdebstrap's own, with updates and security
    std::string security =
        request_.securityMirror.empty() ? request_.mirror + "-security" : request_.securityMirror;
    const std::string& suite = recipe_.os.suite;
    return {"deb " + request_.mirror + " " + suite + " main",
            "deb " + request_.mirror + " " + suite + "-updates main",
            "deb " + security + " " + suite + "-security main"};
  }

  void installPackages() {
    report(Progress{"downloading packages", 0, recipe_.downloadBytes});
    std::string include;
    for (const std::string& package : recipe_.packages) include += (include.empty() ? "" : ",") + package;
    std::vector<std::string> argv = {
        "mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--verbose",
        // The tree is on an empty file system, its keys are those that the sandbox has, and a sandbox without
        // a network namespace of its own can mount no sysfs.
        "--skip=check/empty,check/signed-by,chroot/mount/sys", "--architectures=" + recipe_.architecture,
        "--include=" + include,
        str("--customize-hook=exec sh ", kKernel, "/fetch ", kKernel, " ", recipe_.kernelPackage.c_str()),
        recipe_.os.suite, kTree};
    for (std::string& line : sources()) argv.push_back(std::move(line));
    writeTo(kKernel, "fetch", kFetchKernel);
    LogProgress progress(recipe_.downloadBytes);
    runLogged("cannot install Debian's packages", std::move(argv), environment_, [&](std::string_view line) {
      if (auto p = progress.feed(line)) report(*p);
    });
  }

  void unpackKernel() {
    report("unpacking the kernel");
    std::string package;
    for (const auto& entry : fs::directory_iterator(kKernel))
      if (entry.path().extension() == ".deb") package = entry.path();
    if (package.empty()) throw Error("cannot unpack the kernel: apt fetched no package");
    std::string unpacked = str(kKernel, "/unpacked");
    run("cannot unpack the kernel", {"dpkg-deb", "--extract", package, unpacked});

    fs::path modules = unpacked + "/usr/lib/modules";  // Debian 13
    if (!fs::exists(modules)) modules = unpacked + "/lib/modules";
    for (const auto& entry : fs::directory_iterator(modules)) release_ = entry.path().filename();
    if (release_.empty()) throw Error("cannot unpack the kernel: its package holds no modules");
    fs::create_directories(inTree("/usr/lib/modules"));
    fs::path installed = inTree("/usr/lib/modules/" + release_);
    fs::rename(modules / release_, installed);
    inChroot("cannot index the kernel's modules", {"depmod", release_});

    Fd directory = openFile(installed, O_RDONLY | O_DIRECTORY);
    ModuleIndex index(readFile(installed / "modules.dep", kLargestText),
                      readFile(installed / "modules.builtin", kLargestText));
    writeOut("modules.cpio", moduleArchive(directory, release_, index, recipe_.modules));
    writeOut("kernel", readFile(unpacked + "/boot/vmlinuz-" + release_, kLargestText));
    fs::remove_all(kKernel);
  }

  void configure() {
    report("configuring the system");
    for (const std::string& pattern : recipe_.removedFiles)
      inChroot("cannot remove files", {"sh", "-c", "rm -f -- " + pattern});
    for (const RecipeFile& file : recipe_.files) {
      fs::path path = inTree(file.path);
      fs::create_directories(path.parent_path());
      fs::remove(path);  // it may be a symlink
      Fd out = openFile(path, O_WRONLY | O_CREAT | O_EXCL, file.mode);
      check(::fchmod(out.get(), file.mode), "set the mode of", file.path);
      writeAll(out, file.content, file.path);
    }
    bindSourcesToKeyring();
    systemctl("disable", recipe_.disabledUnits);
    systemctl("mask", recipe_.maskedUnits);
    systemctl("enable", recipe_.enabledUnits);
    // Newer than /usr: without these, the first boot does again what the packages' scripts have just done
    // (ConditionNeedsUpdate=).
    inChroot("cannot finish", {"touch", "/etc/.updated", "/var/.updated"});
  }

  // From Debian 13 on, apt trusts no key for all sources.
  static void bindSourcesToKeyring() {
    std::string path = inTree("/etc/apt/sources.list"), text = readFile(path, kLargestText), result;
    for (size_t at = 0; at < text.size();) {
      size_t end = std::min(text.find('\n', at), text.size());
      std::string line = text.substr(at, end - at);
      if (line.rfind("deb http", 0) == 0) line.insert(4, str("[signed-by=", kArchiveKeyring, "] "));
      result += line + "\n";
      at = end + 1;
    }
    writeAll(openFile(path, O_WRONLY | O_TRUNC), result, path);
  }

  // Those that this variant and release have: a unit that is not there costs nothing.
  void systemctl(const char* verb, const std::vector<std::string>& units) {
    std::vector<std::string> argv = {"systemctl", verb};
    for (const std::string& unit : units) {
      // The file of an instance is its template's: x@tty1.service is x@.service.
      std::string file = unit;
      if (size_t at = unit.find('@'); at != unit.npos) file.erase(at + 1, unit.rfind('.') - at - 1);
      if (fs::exists(inTree("/usr/lib/systemd/system/" + file))) argv.push_back(unit);
    }
    if (argv.size() > 2) inChroot(str("cannot ", verb, " units"), argv);
  }

  // With what it holds and a quarter more: the instance's overlay is larger, and the file system grows into
  // it.
  void makeDisk() {
    uint64_t content = 0;
    for (const auto& entry : fs::recursive_directory_iterator(kTree))
      if (entry.is_regular_file() && !entry.is_symlink()) content += (entry.file_size() + 8191) / 4096 * 4096;
    uint64_t size = (content * 5 / 4 + (128 << 20)) >> 20 << 20;
    std::string disk = str(kOut, "/root.img");
    Fd file = openFile(disk, O_WRONLY | O_CREAT | O_EXCL, 0600);
    check(::ftruncate(file.get(), static_cast<off_t>(size)), "make", "root.img");
    std::vector<std::string> argv = {"mke2fs"};
    for (const char* option : kFileSystem) argv.push_back(option);
    argv.insert(argv.end(), {"-d", kTree, disk});
    run("cannot make the file system", std::move(argv));
    run("cannot make the file system", {"tune2fs", "-E", kMountOptions, disk});
  }

  std::vector<std::pair<std::string, std::string>> packages() {
    std::vector<std::pair<std::string, std::string>> result;
    runLogged("cannot list the packages",
              {"dpkg-query", str("--admindir=", kTree, "/var/lib/dpkg"), "--show"}, environment_,
              [&](std::string_view line) {
                size_t tab = line.find('\t');
                if (tab != std::string_view::npos)
                  result.emplace_back(line.substr(0, tab), line.substr(tab + 1));
              });
    return result;
  }

  void run(const char* what, std::vector<std::string> argv) {
    runLogged(what, std::move(argv), environment_);
  }
  void inChroot(const std::string& what, const std::vector<std::string>& argv) {
    std::vector<std::string> all = {"chroot", kTree};
    all.insert(all.end(), argv.begin(), argv.end());
    runLogged(what, std::move(all), environment_);
  }
  static std::string inTree(const std::string& path) { return kTree + path; }
  static void writeOut(const char* name, std::string_view content) { writeTo(kOut, name, content); }
  static void writeTo(const char* directory, const char* name, std::string_view content) {
    writeAll(openFile(str(directory, "/", name), O_WRONLY | O_CREAT | O_EXCL, 0600), content, name);
  }

  const BuildRequest& request_;
  Recipe recipe_;
  const Fd& progress_;
  std::vector<std::string> environment_;
  std::string release_;
};

}  // namespace

void assemble(const BuildRequest& request, const Fd& progress) { Assembler(request, progress).run(); }

}  // namespace cove::image
