/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The /init of the archive that test-matrix boots. Loads the modules in /modules, in the order of
 * their names, and says what CPUs and devices the kernel has (see sysfs.h for the latter), then
 * "board: ready". After that it does what lines on the serial port tell it to:
 *
 *     memory WORD   board: memory WORD=238576       what the kernel has, in kB
 *     data          board: disk=vda written=1       what was read was written, inverted, behind
 *                                                   it, and read back
 *                   board: port=1                   bytes came back inverted: from a port of the
 *                                                   virtio console
 *                   board: net=1                    and by TCP
 *                   board: rng=virtio_rng.0 bytes=64
 *                   board: share=TEXT               the first line of the file on 9p
 *     errors        board: error=TEXT               what the kernel has complained of
 *     end           the guest ends
 *
 * Each is followed by "board: done" and the command.
 *
 * A device that does not move its data stops all that comes after it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "../board/console.h"
#include "../board/ethernet.h"
#include "../board/port.h"
#include "../board/sysfs.h"
#include "matrix.h"

#define CONSOLE_OFF 6 /* for klogctl() */

static int console;

static void load_module(const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "/modules/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (syscall(SYS_finit_module, fd, "", 0) < 0) {
        dprintf(console, "board: module=%s failed: %s\n", name, strerror(errno));
    }
    close(fd);
}

static void show_device(const char *name)
{
    say_device(console, name);
}

static void show_memory(const char *command)
{
    unsigned long total = 0;

    sscanf(first_line("/proc/meminfo"), "MemTotal: %lu kB", &total);
    dprintf(console, "board: %s=%lu\n", command, total);
}

static void invert(unsigned char *to, const unsigned char *from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        to[i] = (unsigned char)~from[i];
    }
}

/* O_DIRECT: what is read comes from the device, not from the kernel's cache. */
static void test_disk(const char *name)
{
    static unsigned char read_first[DISK_HALF] __attribute__((aligned(4096)));
    static unsigned char inverted[DISK_HALF] __attribute__((aligned(4096)));
    static unsigned char read_back[DISK_HALF] __attribute__((aligned(4096)));
    char path[PATH_MAX];

    if (strncmp(name, "vd", 2)) {
        return;
    }
    snprintf(path, sizeof(path), "/dev/%s", name);
    int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    int good = pread(fd, read_first, DISK_HALF, 0) == DISK_HALF;
    invert(inverted, read_first, DISK_HALF);
    good = good && pwrite(fd, inverted, DISK_HALF, DISK_HALF) == DISK_HALF &&
           pread(fd, read_back, DISK_HALF, DISK_HALF) == DISK_HALF &&
           !memcmp(read_back, inverted, DISK_HALF);
    close(fd);
    dprintf(console, "board: disk=%s written=%d\n", name, good);
}

/* Sends bytes, which the other end gives back inverted. */
static int exchange(int fd, unsigned seed)
{
    static unsigned char sent[ECHO_BYTES], wanted[ECHO_BYTES], got[ECHO_BYTES];
    size_t at = 0;
    ssize_t n;

    for (size_t i = 0; i < ECHO_BYTES; i++) {
        sent[i] = (unsigned char)(i * seed + i / 256);
    }
    invert(wanted, sent, ECHO_BYTES);
    for (at = 0; at < ECHO_BYTES && (n = write(fd, sent + at, ECHO_BYTES - at)) > 0;) {
        at += (size_t)n;
    }
    for (at = 0; at < ECHO_BYTES && (n = read(fd, got + at, ECHO_BYTES - at)) > 0;) {
        at += (size_t)n;
    }
    return !memcmp(got, wanted, ECHO_BYTES);
}

/* A connection to the test through QEMU's user network. */
static int open_net(void)
{
    struct sockaddr_in peer = {.sin_family = AF_INET,
                               .sin_addr.s_addr = inet_addr(ECHO_ADDRESS),
                               .sin_port = htons(ECHO_PORT)};
    const char *ethernet = ethernet_up(GUEST_ADDRESS);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0) {
        dprintf(console, "board: %s: connect: %s\n", ethernet, strerror(errno));
    }
    return fd;
}

static void test_rng(void)
{
    unsigned char bytes[64];
    int fd = open("/dev/hwrng", O_RDONLY | O_CLOEXEC), differ = 0;
    size_t at = 0;
    ssize_t n;

    while (at < sizeof(bytes) && (n = read(fd, bytes + at, sizeof(bytes) - at)) > 0) {
        at += (size_t)n;
    }
    close(fd);
    for (size_t i = 1; i < at; i++) {
        differ += bytes[i] != bytes[0];
    }
    dprintf(console, "board: rng=%s bytes=%zu\n",
            first_line("/sys/class/misc/hw_random/rng_current"), differ ? at : 0);
}

static void test_data(void)
{
    for_each("/sys/block", test_disk);
    dprintf(console, "board: port=%d\n", exchange(port_open(0), 7));
    dprintf(console, "board: net=%d\n", exchange(open_net(), 11));
    test_rng();
    if (!mount(SHARE_TAG, "/root", "9p", MS_RDONLY, "trans=virtio,version=9p2000.L")) {
        dprintf(console, "board: share=%s\n", first_line("/root/" SHARE_FILE));
    }
}

static void serve(void)
{
    FILE *commands = fdopen(console, "r");
    char line[64];

    while (fgets(line, sizeof(line), commands)) {
        line[strcspn(line, "\n")] = '\0';
        if (!strncmp(line, "memory ", 7)) {
            show_memory(line);
        } else if (!strcmp(line, "data")) {
            test_data();
        } else if (!strcmp(line, "errors")) {
            say_errors(console);
        } else if (!strcmp(line, "end")) {
            return;
        }
        dprintf(console, "board: done %s\n", line);
    }
}

int main(void)
{
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    console = console_open();
    for_each("/modules", load_module);
    klogctl(CONSOLE_OFF, NULL, 0); /* from here on no line is torn */
    dprintf(console, "\nboard: cpus=%s\n", first_line("/sys/devices/system/cpu/online"));
    for_each("/sys/bus/virtio/devices", show_device);
    dprintf(console, "board: ready\n");
    serve();
    tcdrain(console);
    /* without ACPI the board has no way to power off, but QEMU's -no-reboot does as well */
    reboot(access("/sys/firmware/acpi/tables", F_OK) ? RB_AUTOBOOT : RB_POWER_OFF);
    return 1;
}
