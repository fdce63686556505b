/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The init of the root whose boot is measured. Does what a server's init does first: mounts /run,
 * brings its network card up, tells the console; and ends the guest.
 */
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mark.h"

static int interface_up(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

    strcpy(request.ifr_name, name);
    rc = ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
    return rc;
}

int main(void)
{
    static const char begun[] = "bench: init\n", ready[] = "bench: ready\n";

    MARK(MARK_INIT);
    if (getenv("BENCH_TIMED") && write(STDOUT_FILENO, begun, sizeof(begun) - 1) < 0) {
        reboot(RB_POWER_OFF);
    }
    if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") || interface_up("lo") ||
        interface_up("eth0")) {
        perror("bench: failed");
        reboot(RB_POWER_OFF);
    }
    if (write(STDOUT_FILENO, ready, sizeof(ready) - 1) > 0) {
        MARK(MARK_READY);
    }
    /* without ACPI there is no way to power off, but QEMU's -no-reboot does as well */
    reboot(access("/sys/firmware/acpi/tables", F_OK) ? RB_AUTOBOOT : RB_POWER_OFF);
    return 1;
}
