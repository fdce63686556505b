/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "handover.h"
#include "rootfs.h"
#include "say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MAX_DEPTH 32

static const char *const inits[] = {"/sbin/init", "/etc/init", "/bin/init", "/bin/sh", NULL};

/* A root that lacks the directory and cannot be written goes without: its init mounts its own. */
static void carry_over(const char *from, const char *to)
{
    mkdir(to, 0755);
    if (mount(from, to, NULL, MS_MOVE, NULL)) {
        say("cannot move %s into the root: %s", from, strerror(errno));
        umount2(from, MNT_DETACH);
    }
}

/* Deletes what DIR holds, never crossing into another file system. Closes DIR. */
static void delete_below(int dir, dev_t dev, int depth)
{
    DIR *d = fdopendir(dir);
    struct dirent *entry;
    struct stat st;

    if (!d) {
        close(dir);
        return;
    }
    while ((entry = readdir(d))) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") ||
            fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) || st.st_dev != dev) {
            continue;
        }
        if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH) {
            int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (sub >= 0) {
                delete_below(sub, dev, depth + 1);
            }
        }
        unlinkat(dir, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
    }
    closedir(d);
}

/* The initrd's files, in RAM for as long as they exist. Only ever a RAM file system is emptied. */
static void free_old_root(int old)
{
    struct statfs fs;
    struct stat st;

    if (!fstatfs(old, &fs) && !fstat(old, &st) &&
        ((unsigned long)fs.f_type == RAMFS_MAGIC || (unsigned long)fs.f_type == TMPFS_MAGIC)) {
        delete_below(old, st.st_dev, 0);
    } else {
        close(old);
    }
}

static bool switch_root(void)
{
    carry_over("/dev", ROOT_DIR "/dev");
    carry_over("/proc", ROOT_DIR "/proc");
    carry_over("/sys", ROOT_DIR "/sys");

    int old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (old < 0 || chdir(ROOT_DIR) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") ||
        chdir("/")) {
        say("cannot change to the root: %s", strerror(errno));
        return false;
    }
    free_old_root(old);
    return true;
}

/* The three standard files, on the console of the root's own /dev. */
static void attach_console(void)
{
    int fd = open("/dev/console", O_RDWR | O_NOCTTY);

    if (fd < 0) {
        fd = open("/dev/null", O_RDWR);
    }
    for (int i = 0; i < 3 && fd >= 0; i++) {
        dup2(fd, i);
    }
    if (fd > 2) {
        close(fd);
    }
}

/* Returns when it cannot be executed; says why unless it simply is not there and LOUD is false. */
static void try_init(const char *path, char **argv, bool loud)
{
    argv[0] = (char *)path;
    execv(path, argv);
    int err = errno;
    bool there = !access(path, F_OK);

    if (err == ENOENT && there) {
        say("cannot execute %s: its interpreter or dynamic loader is missing", path);
    } else if (err != ENOENT || loud) {
        say("cannot execute %s: %s", path, strerror(err));
    }
}

void handover(const char *init, char **argv)
{
    if (!switch_root()) {
        return;
    }
    attach_console();
    mark("exec %s", init ? init : inits[0]);
    if (init) {
        try_init(init, argv, true);
        say("init=%s was asked for, nothing else is tried", init);
        return;
    }
    for (int i = 0; inits[i]; i++) {
        try_init(inits[i], argv, false);
    }
    say("the root has no init: tried /sbin/init, /etc/init, /bin/init and /bin/sh");
}
