/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can KVM on this machine run a guest? That /dev/kvm opens proves nothing: there are hosts, virtual
 * machines themselves, whose KVM takes a guest as far as long mode and then stalls, or interprets
 * its instructions one by one and gives up at the first that it does not know. So run one, with a
 * deadline: it switches to long mode, does a cmpxchg16b, which every 64-bit Linux uses, counts down
 * from twenty million, and writes a byte to a port. A CPU needs ten milliseconds for it.
 *
 * Exit status 0 when KVM works; 1 when it does not, with one line on stdout that says why.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 2000
#define MEMORY 0x10000
#define PML4 0x1000
#define PDPT 0x2000
#define PD 0x3000
#define CODE 0x4000
#define GDT 0x5000
#define PORT 0x80
#define VALUE 0x44

/* Page table entries: Intel SDM, volume 3, chapter 4. */
#define PTE_PRESENT_WRITE 0x3
#define PTE_LARGE 0x80

extern const uint8_t guest_code[], guest_code_end[];

__asm__(".pushsection .rodata\n"
        ".globl guest_code, guest_code_end\n"
        "guest_code:\n"
        ".code32\n"
        "mov $0x20, %eax\n" /* CR4.PAE */
        "mov %eax, %cr4\n"
        "mov $0x1000, %eax\n" /* PML4 */
        "mov %eax, %cr3\n"
        "mov $0xc0000080, %ecx\n" /* EFER.LME */
        "rdmsr\n"
        "or $0x100, %eax\n"
        "wrmsr\n"
        "mov $0x80000001, %eax\n" /* CR0.PG, CR0.PE */
        "mov %eax, %cr0\n"
        "ljmp $8, $(0x4000 + 1f - guest_code)\n"
        ".code64\n"
        "1: lock cmpxchg16b 0x6000\n"
        "mov $20000000, %ecx\n"
        "2: dec %ecx\n"
        "jnz 2b\n"
        "movabs $0x1122334455667788, %rbx\n"
        "shr $32, %rbx\n" /* only in long mode is there an upper half */
        "mov %bl, %al\n"
        "out %al, $0x80\n"
        "hlt\n"
        "guest_code_end:\n"
        ".popsection\n");

static int failed(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    return 1;
}

/* 32-bit protected mode with flat segments, no paging yet. */
static void set_protected_mode(struct kvm_sregs *sregs)
{
    struct kvm_segment cs = {
        .limit = 0xffffffff, .selector = 0x10, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_segment ds = cs;

    ds.selector = 0x18;
    ds.type = 3;
    sregs->cs = cs;
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = ds;
    sregs->gdt.base = GDT;
    sregs->gdt.limit = 4 * 8 - 1;
    sregs->cr0 = 1;
}

/* The guest's code, its descriptors, and one gigabyte mapped one to one. */
static void set_up_memory(uint8_t *memory)
{
    uint64_t *pml4 = (uint64_t *)(memory + PML4), *pdpt = (uint64_t *)(memory + PDPT);
    uint64_t *pd = (uint64_t *)(memory + PD), *gdt = (uint64_t *)(memory + GDT);

    pml4[0] = PDPT | PTE_PRESENT_WRITE;
    pdpt[0] = PD | PTE_PRESENT_WRITE;
    for (uint64_t i = 0; i < 512; i++) {
        pd[i] = i << 21 | PTE_LARGE | PTE_PRESENT_WRITE;
    }
    gdt[1] = 0x00209b0000000000; /* 64-bit code */
    gdt[2] = 0x00cf9b000000ffff; /* 32-bit code */
    gdt[3] = 0x00cf93000000ffff; /* data */
    memcpy(memory + CODE, guest_code, guest_code_end - guest_code);
}

/* A guest's CPU knows long mode only if its CPUID says so. */
static int set_cpuid(int kvm, int vcpu)
{
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[256];
    } cpuid = {.head.nent = 256};

    if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0) {
        return -1;
    }
    return ioctl(vcpu, KVM_SET_CPUID2, &cpuid);
}

static int run_guest(void)
{
    struct kvm_userspace_memory_region region = {.memory_size = MEMORY};
    struct kvm_regs regs = {.rip = CODE, .rflags = 2};
    struct kvm_sregs sregs;
    struct kvm_run *run;
    int kvm, vm, vcpu, size;
    uint8_t *memory;

    kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0) {
        return failed("/dev/kvm");
    }
    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0) {
        return failed("KVM_CREATE_VM");
    }
    memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return failed("mmap");
    }
    set_up_memory(memory);
    region.userspace_addr = (uintptr_t)memory;
    if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) {
        return failed("KVM_SET_USER_MEMORY_REGION");
    }
    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (vcpu < 0 || size < 0 || set_cpuid(kvm, vcpu) < 0) {
        return failed("KVM_CREATE_VCPU");
    }
    run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED || ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0) {
        return failed("KVM_GET_SREGS");
    }
    set_protected_mode(&sregs);
    if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu, KVM_SET_REGS, &regs) < 0) {
        return failed("KVM_SET_SREGS");
    }
    if (ioctl(vcpu, KVM_RUN, 0) < 0) {
        return failed("KVM_RUN");
    }
    if (run->exit_reason != KVM_EXIT_IO || run->io.port != PORT ||
        *((uint8_t *)run + run->io.data_offset) != VALUE) {
        printf("/dev/kvm opens, but a few instructions in long mode end in KVM's exit reason %u\n",
               run->exit_reason);
        return 1;
    }
    return 0;
}

/* The guest runs in a child of its own, which the deadline ends. */
int main(void)
{
    struct pollfd child = {.events = POLLIN};
    pid_t pid = fork();
    int status;

    if (pid < 0) {
        return failed("fork");
    }
    if (pid == 0) {
        int rc;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        rc = run_guest();
        fflush(stdout);
        _exit(rc);
    }
    child.fd = syscall(SYS_pidfd_open, pid, 0);
    if (child.fd < 0) {
        status = failed("pidfd_open");
        kill(pid, SIGKILL);
        return status;
    }
    if (poll(&child, 1, DEADLINE_MS) != 1) {
        printf("/dev/kvm opens, but a guest is stuck: a few instructions in long mode take more "
               "than %d ms\n",
               DEADLINE_MS);
        kill(pid, SIGKILL);
        return 1;
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}
