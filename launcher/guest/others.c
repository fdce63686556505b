/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All other processes of the guest, as far as the cgroups of cgroup v2 have them, are saved frozen:
 * when a clone wakes, the timers of all of them have run out, and each would have its turn before
 * the clone is of any use. They notice nothing but the time that has passed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "identity.h"

#define CGROUPS "/sys/fs/cgroup"
#define PATH_SIZE (2 * PATH_MAX) /* of a cgroup, or a file in it */
#define PATIENCE_MS 10000 /* a process that waits for a disk cannot be frozen until it has it */

static bool frozen;
static bool late; /* one was not in time, and the rest need not be waited for */

static bool write_freeze(const char *cgroup, char value)
{
    char path[PATH_SIZE + 32];
    int fd;
    bool done;

    snprintf(path, sizeof(path), "%s/cgroup.freeze", cgroup);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    done = write(fd, &value, 1) == 1;
    close(fd);
    return done;
}

/* Until the kernel says that all of its processes stand still; false when some do not in time. */
static bool wait_frozen(const char *cgroup)
{
    char path[PATH_SIZE + 32], text[128];
    struct pollfd pfd = {.events = POLLPRI};
    bool done = false;

    snprintf(path, sizeof(path), "%s/cgroup.events", cgroup);
    pfd.fd = open(path, O_RDONLY | O_CLOEXEC);
    while (pfd.fd >= 0 && !done && !late) {
        ssize_t n = pread(pfd.fd, text, sizeof(text) - 1, 0);

        text[n > 0 ? n : 0] = '\0';
        done = strstr(text, "frozen 1") != NULL;
        late = !done && poll(&pfd, 1, PATIENCE_MS) == 0;
    }
    if (pfd.fd >= 0) {
        close(pfd.fd);
    }
    return done;
}

typedef bool (*Action)(const char *cgroup);

/* Does @action for all cgroups beside @own, the name of one in @parent. */
static bool each_beside(const char *parent, const char *own, Action action)
{
    DIR *dir = opendir(parent);
    struct dirent *entry;
    bool good = dir != NULL;

    while (dir && (entry = readdir(dir))) {
        char path[PATH_SIZE + NAME_MAX + 2];

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || strcmp(entry->d_name, own) == 0) {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s", parent, entry->d_name);
        good &= action(path);
    }
    if (dir) {
        closedir(dir);
    }
    return good;
}

/* Our own cgroup, "/system.slice/microvm-identity.service"; false without cgroup v2. */
static bool find_own(char *path, size_t size)
{
    char text[PATH_MAX];
    int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    char *start;

    if (fd >= 0) {
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    start = strstr(text, "0::/");
    if (!start || access(CGROUPS "/cgroup.controllers", F_OK) < 0) {
        return false;
    }
    start += strlen("0::");
    start[strcspn(start, "\n")] = '\0';
    return snprintf(path, size, "%s", start) < (int)size;
}

/* Does @action for all cgroups but those that we are in. */
static bool each_other(Action action)
{
    char own[PATH_MAX], parent[PATH_SIZE] = CGROUPS, *rest = own, *name;
    bool good = find_own(own, sizeof(own));

    while (good && (name = strtok_r(NULL, "/", &rest))) {
        good = each_beside(parent, name, action);
        strcat(strcat(parent, "/"), name);
    }
    return good;
}

static bool freeze_one(const char *cgroup)
{
    return write_freeze(cgroup, '1');
}

static bool thaw_one(const char *cgroup)
{
    return write_freeze(cgroup, '0');
}

/* A guest where that cannot be done is as good, and merely wakes more slowly. */
void others_freeze(void)
{
    frozen = true;
    late = false;
    if (!each_other(freeze_one) || !each_other(wait_frozen)) {
        others_thaw();
    }
}

void others_thaw(void)
{
    if (frozen) {
        each_other(thaw_one);
        frozen = false;
    }
}

void others_thaw_when_idle(void)
{
    const struct sched_param none = {0};
    pid_t pid = frozen ? fork() : -1;

    if (pid < 0) {
        others_thaw();
    }
    if (pid == 0) {
        syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &none);
        others_thaw();
        _exit(0);
    }
}
