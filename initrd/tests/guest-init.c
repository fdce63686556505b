/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The init of boot's roots: says how it was started, one "guest: KEY=VALUE" a line, and powers
 * the guest off. A root that can be written gets /written, so that the next boot can tell.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

static int console;

static void say_mounts(void)
{
    char line[1024];
    FILE *f = fopen("/proc/self/mounts", "re");

    while (f && fgets(line, sizeof(line), f)) {
        dprintf(console, "guest: mount=%s", line);
    }
    if (f) {
        fclose(f);
    }
}

/* Sums the numbers that follow KEY in the lines of PATH. */
static long sum_of(const char *path, const char *key)
{
    char line[256];
    FILE *f = fopen(path, "re");
    long sum = 0;

    while (f && fgets(line, sizeof(line), f)) {
        char *at = line + strspn(line, " ");
        if (!strncmp(at, key, strlen(key))) {
            sum += strtol(at + strlen(key), NULL, 10);
        }
    }
    if (f) {
        fclose(f);
    }
    return sum;
}

/* Free memory in KiB, with the pages that wait on the processors' own lists. */
static void say_memory(void)
{
    long free = sum_of("/proc/meminfo", "MemFree:") + 4 * sum_of("/proc/zoneinfo", "count:");

    dprintf(console, "guest: free=%ld\n", free);
}

static void say_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    struct dirent *entry;
    char path[320], target[256];

    while (d && (entry = readdir(d))) {
        snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        if (n > 0 && strncmp(target, "/proc/", 6)) {
            dprintf(console, "guest: fd=%s %.*s\n", entry->d_name, (int)n, target);
        }
    }
    if (d) {
        closedir(d);
    }
}

static const char *load(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    long rc = fd < 0 ? -1 : syscall(SYS_finit_module, fd, "", 0);
    int err = errno;

    close(fd);
    return rc ? strerror(err) : "loaded";
}

static void copy(const char *from, const char *to)
{
    char buffer[4096];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    ssize_t n;

    while ((n = read(in, buffer, sizeof(buffer))) > 0 && write(out, buffer, (size_t)n) == n) {
    }
    close(in);
    close(out);
}

/* Whether modules are where modprobe looks, and what becomes of one from there and of a copy of it.
 */
static void say_modules(void)
{
    struct utsname kernel;
    char path[256];
    DIR *d = opendir("/lib/modules");
    struct dirent *entry;

    uname(&kernel);
    dprintf(console, "guest: release=%s\n", kernel.release);
    while (d && (entry = readdir(d))) {
        if (entry->d_name[0] != '.') {
            dprintf(console, "guest: modules-of=%s\n", entry->d_name);
        }
    }
    if (d) {
        closedir(d);
    }
    snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", kernel.release);
    if (access(path, R_OK)) {
        return;
    }
    snprintf(path, sizeof(path), "/lib/modules/%s/kernel/drivers/net/dummy.ko", kernel.release);
    copy(path, "/copy.ko");
    dprintf(console, "guest: copied-module=%s\n", load("/copy.ko"));
    dprintf(console, "guest: module=%s\n", load(path));
}

/* The kernel's log, for the marks. */
static void say_marks(void)
{
    char record[8192];
    int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t n;

    while (fd >= 0 && (n = read(fd, record, sizeof(record) - 1)) > 0) {
        record[n] = '\0';
        char *text = strstr(record, ";microvm: init ");
        if (text) {
            dprintf(console, "guest: mark=%.*s\n", (int)strcspn(text + 1, "\n"), text + 1);
        }
    }
    close(fd);
}

int main(int argc, char **argv)
{
    struct stat root;

    console = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
    dprintf(console, "\nguest: pid=%d\n", (int)getpid());
    for (int i = 0; i < argc; i++) {
        dprintf(console, "guest: argv=%s\n", argv[i]);
    }
    stat("/", &root);
    dprintf(console, "guest: root=%u:%u\n", major(root.st_dev), minor(root.st_dev));
    say_memory();
    say_mounts();
    say_descriptors();
    say_marks();
    say_modules();
    dprintf(console, "guest: was-written=%s\n", access("/written", F_OK) ? "no" : "yes");
    int fd = open("/written", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    dprintf(console, "guest: writable=%s\n", fd >= 0 ? "yes" : "no");
    dprintf(console, "guest: done\n");
    if (fd >= 0) {
        close(fd);
    }
    sync();
    mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    tcdrain(console);
    reboot(RB_POWER_OFF);
    return 1;
}
