/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The init of the root that test-idle boots: does what a small server's init does first, says how
 * much of the memory is in use, in KiB, and does nothing from then on.
 *
 *     idle: total=116348 available=98160
 */
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static long meminfo(const char *key)
{
    char line[128];
    long value = -1;
    FILE *f = fopen("/proc/meminfo", "re");

    while (f && value < 0 && fgets(line, sizeof(line), f)) {
        if (!strncmp(line, key, strlen(key))) {
            sscanf(line + strlen(key), "%ld", &value);
        }
    }
    if (f) {
        fclose(f);
    }
    return value;
}

int main(void)
{
    struct ifreq request = {.ifr_name = "eth0", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") ||
        ioctl(fd, SIOCSIFFLAGS, &request)) {
        perror("idle: failed");
    }
    close(fd);
    sync();
    printf("idle: total=%ld available=%ld\n", meminfo("MemTotal:"), meminfo("MemAvailable:"));
    fflush(stdout);
    for (;;) {
        pause();
    }
}
