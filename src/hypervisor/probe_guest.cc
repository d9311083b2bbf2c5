#include "hypervisor/probe_guest.h"

#if defined(__x86_64__)
extern "C" const char cove_probe_guest[], cove_probe_guest_end[];

// Loaded at 1 MiB; page tables of 2 MiB pages follow the code. `AT(x)` is x's address in the guest.
asm(R"(
  .pushsection .rodata
  .balign 8
  .global cove_probe_guest, cove_probe_guest_end
cove_probe_guest:
  .set BASE, 0x100000
  .set TABLES, 0x102000
  .long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)
  .long BASE, BASE, BASE + (cove_probe_guest_end - cove_probe_guest), 0x106000
  .long BASE + (1f - cove_probe_guest)
  .code32
1:
  cld
  movl $TABLES, %edi
  xorl %eax, %eax
  movl $0xc00, %ecx
  rep stosl
  movl $TABLES + 0x1003, TABLES
  movl $TABLES + 0x2003, TABLES + 0x1000
  movl $0x83, TABLES + 0x2000
  movl $TABLES, %eax
  movl %eax, %cr3
  movl %cr4, %eax
  orl $0x20, %eax
  movl %eax, %cr4
  movl $0xc0000080, %ecx
  rdmsr
  orl $0x100, %eax
  wrmsr
  movl %cr0, %eax
  orl $0x80000000, %eax
  movl %eax, %cr0
  lgdt BASE + (3f - cove_probe_guest)
  ljmp $8, $BASE + (2f - cove_probe_guest)
  .code64
2:
  xorq %rax, %rax
  movq $1000000, %rcx
4:
  addq %rcx, %rax
  loop 4b
  movabsq $500000500000, %rdx
  cmpq %rdx, %rax
  jne 5f
  movb $0x2d, %al
  outb %al, $0xf4
5:
  hlt
  jmp 5b
  .balign 8
6:
  .quad 0, 0x00209a0000000000
3:
  .word 15
  .long BASE + (6b - cove_probe_guest)
cove_probe_guest_end:
  .popsection
)");

namespace cove {
std::string_view probeGuest() {
  return {cove_probe_guest, static_cast<size_t>(cove_probe_guest_end - cove_probe_guest)};
}
}  // namespace cove
#else
namespace cove {
std::string_view probeGuest() { return {}; }
}  // namespace cove
#endif
