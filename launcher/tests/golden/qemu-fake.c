/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Says what it was started with, as QEMU would find it. */
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct rlimit core;

    getrlimit(RLIMIT_CORE, &core);
    printf("argv0=%s\numask=%03o\ncore=%lu\n", argv[0], umask(0), (unsigned long)core.rlim_max);
    for (int fd = 0; fd < 64; fd++) {
        char link[32], target[256];
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, target, sizeof(target) - 1);
        if (n > 0 && fd > 2)
            printf("fd=%d %.*s\n", fd, (int)n, target);
    }
    for (int i = 1; i < argc; i++) {
        printf("arg=%s\n", argv[i]);
        if (strcmp(argv[i - 1], "-netdev") == 0)
            printf("tap=%u\n", if_nametoindex("tap114i0"));
    }
    return 0;
}
