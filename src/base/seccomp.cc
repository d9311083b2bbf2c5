#include "base/seccomp.h"

#include <cerrno>
#include <cstddef>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include "base/error.h"

namespace cove {

namespace {
#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "seccomp: name the audit architecture"
#endif

// What reaches into other processes, the kernel's configuration, or subsystems with a history.
constexpr int kNever[] = {
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_pidfd_getfd,
    SYS_process_madvise,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    SYS_kexec_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_quotactl_fd,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_syslog,
    SYS_vhangup,
    SYS_fanotify_init,
    SYS_lookup_dcookie,
    SYS_move_pages,
    SYS_migrate_pages,
#if defined(__x86_64__)
    SYS_kexec_file_load,
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_uselib,
    SYS_ustat,
    SYS_sysfs,
#endif
};
constexpr int kMounts[] = {
    SYS_mount,         SYS_umount2, SYS_pivot_root, SYS_chroot,      SYS_open_tree,
    SYS_move_mount,    SYS_fsopen,  SYS_fsconfig,   SYS_fsmount,     SYS_fspick,
    SYS_mount_setattr, SYS_setns,   SYS_unshare,    SYS_sethostname, SYS_setdomainname,
};
constexpr uint32_t kNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

class Program {
 public:
  void load(size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  // The low half of an argument; all that are examined here are 32 bits wide for the kernel.
  void loadArgument(int i) { load(offsetof(seccomp_data, args) + 8 * static_cast<size_t>(i)); }
  void unlessEqual(uint32_t value, uint8_t skip) { add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip); }
  void ifEqual(uint32_t value, uint8_t skip) { add(BPF_JMP | BPF_JEQ | BPF_K, value, skip, 0); }
  void unlessAnyBit(uint32_t mask, uint8_t skip) { add(BPF_JMP | BPF_JSET | BPF_K, mask, 0, skip); }
  void unlessAtLeast(uint32_t value, uint8_t skip) { add(BPF_JMP | BPF_JGE | BPF_K, value, 0, skip); }
  void answer(uint32_t action) { add(BPF_RET | BPF_K, action); }
  void fail(int code) { answer(SECCOMP_RET_ERRNO | static_cast<uint32_t>(code)); }
  void onCall(int number, uint32_t action) {  // or on the family or other value that was loaded
    unlessEqual(static_cast<uint32_t>(number), 1);
    answer(action);
  }
  sock_fprog get() { return {static_cast<unsigned short>(code_.size()), code_.data()}; }

 private:
  void add(int op, uint32_t k, uint8_t yes = 0, uint8_t no = 0) {
    code_.push_back({static_cast<uint16_t>(op), yes, no, k});
  }
  std::vector<sock_filter> code_;
};

void addArchitecture(Program& p) {
  p.load(offsetof(seccomp_data, arch));
  p.ifEqual(kArchitecture, 1);
  p.answer(SECCOMP_RET_KILL_PROCESS);
  p.load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  p.unlessAtLeast(0x40000000, 1);  // x32: the same calls by other numbers
  p.answer(SECCOMP_RET_KILL_PROCESS);
#endif
}

void addNamespaceRules(Program& p) {
  for (int call : kMounts) p.onCall(call, SECCOMP_RET_ERRNO | EPERM);
  // A filter cannot see clone3's flags behind their pointer; libc falls back to clone on ENOSYS.
  p.onCall(SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
  p.unlessEqual(SYS_clone, 4);
  p.loadArgument(0);
  p.unlessAnyBit(kNamespaces, 1);
  p.fail(EPERM);
  p.answer(SECCOMP_RET_ALLOW);
}

// A file that is open for reading only could be made writable, and opened again through /proc.
constexpr int kModes[] = {
    SYS_fchmod,    SYS_fchown,      SYS_fchmodat,     SYS_fchownat,     SYS_setxattr, SYS_lsetxattr,
    SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr, 452,  // fchmodat2, Linux 6.6
#if defined(__x86_64__)
    SYS_chmod,     SYS_chown,       SYS_lchown,
#endif
};

// What reaches others than through a descriptor that is there already.
constexpr int kOutwards[] = {
    SYS_socket,          SYS_connect,           SYS_bind,       SYS_kill, SYS_tkill,
    SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_pidfd_open,
};

void addOwnRules(Program& p) {
  for (int call : kOutwards) p.onCall(call, SECCOMP_RET_ERRNO | EPERM);
  p.unlessEqual(SYS_tgkill, 4);  // abort() and raise() signal the process itself
  p.loadArgument(0);
  p.ifEqual(static_cast<uint32_t>(::getpid()), 1);
  p.fail(EPERM);
  p.answer(SECCOMP_RET_ALLOW);
}

// AF_VSOCK knows no network namespace; the exotic families are kernel surface.
void addSocketRules(Program& p, bool unixSockets) {
  p.unlessEqual(SYS_socket, 7);
  p.loadArgument(0);
  p.ifEqual(unixSockets ? AF_UNIX : AF_INET, 4);
  p.ifEqual(AF_INET, 3);
  p.ifEqual(AF_INET6, 2);
  p.ifEqual(AF_NETLINK, 1);
  p.fail(EAFNOSUPPORT);
  p.answer(SECCOMP_RET_ALLOW);
}

// Typing into the terminal of whoever started us.
void addTerminalRules(Program& p) {
  p.unlessEqual(SYS_ioctl, 5);
  p.loadArgument(1);
  p.ifEqual(TIOCSTI, 1);
  p.unlessEqual(TIOCLINUX, 1);
  p.fail(EPERM);
  p.answer(SECCOMP_RET_ALLOW);
}

uint32_t execAction(FilterRules::Exec exec) {
  switch (exec) {
    case FilterRules::Exec::kAllow:
      return SECCOMP_RET_ALLOW;
    case FilterRules::Exec::kAsk:
      return SECCOMP_RET_USER_NOTIF;
    case FilterRules::Exec::kDeny:
      break;
  }
  return SECCOMP_RET_ERRNO | ENOSYS;
}
}  // namespace

Fd installFilter(const FilterRules& rules) {
  Program p;
  addArchitecture(p);
  p.onCall(SYS_execve, execAction(rules.exec));
  p.onCall(SYS_execveat, execAction(rules.exec));
  for (int call : kNever) p.onCall(call, SECCOMP_RET_ERRNO | EPERM);
  if (!rules.allowMounts) addNamespaceRules(p);
  if (!rules.changeModes)
    for (int call : kModes) p.onCall(call, SECCOMP_RET_ERRNO | EPERM);
  if (rules.ownOnly) addOwnRules(p);
  addSocketRules(p, rules.unixSockets);
  addTerminalRules(p);
  p.answer(SECCOMP_RET_ALLOW);
  sock_fprog program = p.get();
  bool ask = rules.exec == FilterRules::Exec::kAsk;
  long result =
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, ask ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0, &program);
  check(result, "install", "the system call filter");
  return ask ? Fd(static_cast<int>(result)) : Fd();
}

void installAllowlist(std::span<const int> calls, std::span<const int> families) {
  Program p;
  addArchitecture(p);
  for (int call : calls) p.onCall(call, SECCOMP_RET_ALLOW);
  p.ifEqual(SYS_socket, 1);
  p.fail(EPERM);
  p.loadArgument(0);
  for (int family : families) p.onCall(family, SECCOMP_RET_ALLOW);
  p.fail(EAFNOSUPPORT);
  sock_fprog program = p.get();
  check(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "install", "the system call filter");
}

void allowOneExec(const Fd& listener) {
  seccomp_notif question{};
  int result;
  do result = ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_RECV, &question);
  while (result < 0 && errno == EINTR);
  check(result, "wait for", "the program to be executed");
  seccomp_notif_resp answer{};
  answer.id = question.id;
  answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  check(::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer), "allow", "the program to be executed");
}

}  // namespace cove
