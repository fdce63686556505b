/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The /init of the archive that test-board boots. Says what the kernel has found, reads from each
 * disk, and ends the guest:
 *
 *     board: clockevent=lapic-deadline
 *     board: clocksource=tsc
 *     board: device=virtio0 driver=virtio_blk modern=1 path=/sys/devices/platform/.../virtio0
 *     board: disk=vda bytes=1048576 sum=133169152
 *     board: end
 *
 * The devices are numbered in the kernel's order. The sum is that of the bytes read, so that a disk
 * can be told from another; a disk whose interrupt is lost never gets a line.
 *
 * With the argument "settle" (on the kernel's command line, after --) it first waits until the
 * kernel has done with tsc-early, which it goes by for the first second or so.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "sysfs.h"

#define READ_BYTES (1024 * 1024)
#define SETTLE_MS 20000

static int console;

static const char *clocksource(void)
{
    return first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource");
}

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The kernel's log has a line for each change of the clock source, so a change wakes us up. */
static void wait_for_clock(void)
{
    int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct pollfd pfd = {.fd = log, .events = POLLIN};
    long end = now_ms() + SETTLE_MS, left;
    char record[8192];

    while (!strcmp(clocksource(), "tsc-early") && (left = end - now_ms()) > 0 &&
           poll(&pfd, 1, (int)left) > 0) {
        while (read(log, record, sizeof(record)) > 0) {
        }
    }
    close(log);
}

static void show_device(const char *name)
{
    say_device(console, name);
}

static void read_disk(const char *name)
{
    static unsigned char buffer[64 * 1024];
    char path[PATH_MAX];
    unsigned long sum = 0;
    long bytes = 0;
    ssize_t n = -1;

    if (strncmp(name, "vd", 2)) {
        return;
    }
    snprintf(path, sizeof(path), "/dev/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && bytes < READ_BYTES && (n = read(fd, buffer, sizeof(buffer))) > 0) {
        bytes += n;
        for (ssize_t i = 0; i < n; i++) {
            sum += buffer[i];
        }
    }
    close(fd);
    dprintf(console, "board: disk=%s bytes=%ld sum=%lu%s\n", name, bytes, sum,
            n < 0 ? " failed" : "");
}

int main(int argc, char **argv)
{
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    console = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (argc > 1 && !strcmp(argv[1], "settle")) {
        wait_for_clock();
    }
    dprintf(console, "\nboard: clockevent=%s\n",
            first_line("/sys/devices/system/clockevents/clockevent0/current_device"));
    dprintf(console, "board: clocksource=%s\n", clocksource());
    for_each("/sys/bus/virtio/devices", show_device);
    for_each("/sys/block", read_disk);
    dprintf(console, "board: end\n");
    tcdrain(console);
    /* without ACPI the board has no way to power off, but QEMU's -no-reboot does as well */
    reboot(access("/sys/firmware/acpi/tables", F_OK) ? RB_AUTOBOOT : RB_POWER_OFF);
    return 1;
}
