/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Says what it was started with, as QEMU would find it. */
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The line of /proc/self/FILE that begins with @start. */
static void print_line(const char *file, const char *start)
{
    char path[64], line[512];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/self/%s", file);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, start, strlen(start)) == 0)
            fputs(line, stdout);
    }
    if (f)
        fclose(f);
}

/* What virtiofsd-fake says to whoever is connected to it. */
static void print_virtiofsd(const char *chardev)
{
    char text[4096];
    const char *fd = strstr(chardev, ",fd=");
    ssize_t n;

    if (strncmp(chardev, "socket,id=virtiofs", 18) != 0 || !fd)
        return;
    n = read(atoi(fd + 4), text, sizeof(text) - 1);
    printf("virtiofsd=%.*s\n", n > 0 ? (int)n : 0, text);
}

int main(int argc, char **argv)
{
    struct rlimit core;

    getrlimit(RLIMIT_CORE, &core);
    printf("argv0=%s\n", argv[0]);
    printf("uid=%d gid=%d groups=%d\n", (int)geteuid(), (int)getegid(), getgroups(0, NULL));
    print_line("status", "NoNewPrivs:");
    print_line("cgroup", "0::");
    printf("umask=%03o\ncore=%lu\n", umask(0), (unsigned long)core.rlim_max);
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
        if (strcmp(argv[i - 1], "-chardev") == 0)
            print_virtiofsd(argv[i]);
    }
    return 0;
}
