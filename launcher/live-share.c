/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "live-share.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "share.h"

static gboolean fail(const char *what, GError **error)
{
    g_set_error(error, SHARE_ERROR, SHARE_ERROR_START, "%s: %s", what, g_strerror(errno));
    return FALSE;
}

/* The host's mounts and what becomes of them are seen there; what is mounted there, only there. */
static gboolean leave_namespace(GError **error)
{
    return (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0) ||
           fail("a mount namespace", error);
}

/* The place for the tmpfs, which nobody but root can take away or put another thing in place of. */
static int open_place(GError **error)
{
    struct stat st;
    int fd;

    if (mkdir(LIVE_SHARE_DIR, 0755) < 0 && errno != EEXIST) {
        fail(LIVE_SHARE_DIR, error);
        return -1;
    }
    fd = open(LIVE_SHARE_DIR, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        fail(LIVE_SHARE_DIR, error);
        return -1;
    }
    if (fstat(fd, &st) == 0 && st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return fd;
    close(fd);
    errno = EPERM;
    fail(LIVE_SHARE_DIR ", which should be root's and nobody else's to write", error);
    return -1;
}

static gboolean make_directory(int dir, const char *name, mode_t mode)
{
    return mkdirat(dir, name, mode) == 0 && fchmodat(dir, name, mode, 0) == 0;
}

/* Small, and nobody's to write to by this mount: microvm-ctl makes one of its own for that. */
static int make_tmpfs(void)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    int config = fsopen("tmpfs", FSOPEN_CLOEXEC), fd = -1, saved;

    if (config >= 0 && fsconfig(config, FSCONFIG_SET_STRING, "mode", "0755", 0) == 0 &&
        fsconfig(config, FSCONFIG_SET_STRING, "size", "256k", 0) == 0 &&
        fsconfig(config, FSCONFIG_SET_STRING, "nr_inodes", "1k", 0) == 0 &&
        fsconfig(config, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(config, FSMOUNT_CLOEXEC,
                     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    saved = errno;
    if (config >= 0)
        close(config);
    errno = saved;
    if (fd < 0 ||
        (make_directory(fd, LIVE_SHARE_TREE, 0755) && make_directory(fd, LIVE_SHARE_FROM, 0700) &&
         mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0))
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static gboolean prepare(GError **error)
{
    int place, tmpfs;
    gboolean done;

    if (!leave_namespace(error))
        return FALSE;
    place = open_place(error);
    if (place < 0)
        return FALSE;
    tmpfs = make_tmpfs();
    done = tmpfs >= 0 &&
           move_mount(tmpfs, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
    if (!done)
        fail("a tmpfs at " LIVE_SHARE_DIR, error);
    if (tmpfs >= 0)
        close(tmpfs);
    close(place);
    return done;
}

gboolean live_share_prepare(GError **error)
{
    gboolean done = prepare(error);

    if (!done)
        g_prefix_error(error, "--shares: ");
    return done;
}

static gboolean write_map(pid_t pid, const char *file, guint from, guint to)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    gboolean done = fd >= 0 && dprintf(fd, "%u %u 1\n", from, to) > 0;

    if (fd >= 0)
        close(fd);
    return done;
}

/* A user namespace in which @owner's files are QEMU's, held by a process that does not last. */
static int mapping(const struct stat *owner, guint uid, guint gid)
{
    int ready[2], ns = -1;
    char byte;
    pid_t pid;

    if (pipe2(ready, O_CLOEXEC) < 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWUSER) == 0 && write(ready[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    if (pid > 0 && read(ready[0], &byte, 1) == 1 && write_map(pid, "uid_map", owner->st_uid, uid) &&
        write_map(pid, "gid_map", owner->st_gid, gid)) {
        g_autofree char *path = g_strdup_printf("/proc/%d/ns/user", pid);

        ns = open(path, O_RDONLY | O_CLOEXEC);
    }
    close(ready[0]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return ns;
}

/*
 * QEMU, which is nobody in particular, gets at the files as their owner does, and what the guest
 * makes there belongs to that owner. File systems that have no such mounts leave it as it is.
 */
static void map_owner(int tree, const struct stat *owner, guint uid, guint gid, const char *path)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP};
    int ns;

    if (uid == 0 || uid == owner->st_uid)
        return;
    ns = mapping(owner, uid, gid);
    attr.userns_fd = (guint64)MAX(ns, 0);
    if (ns < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
        fprintf(stderr,
                "%s: warning: no mapped mount (%s): the guest can do there what user %u can\n",
                path, g_strerror(errno), uid);
    if (ns >= 0)
        close(ns);
}

int live_share_mount(const char *path, gboolean readonly, guint uid, guint gid, GError **error)
{
    struct mount_attr attr = {.attr_set =
                                  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSYMFOLLOW,
                              .propagation = MS_PRIVATE};
    int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), tree = -1;
    struct stat owner;

    if (readonly)
        attr.attr_set |= MOUNT_ATTR_RDONLY;
    if (dir >= 0 && fstat(dir, &owner) == 0)
        tree = open_tree(dir, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) {
        g_set_error(error, SHARE_ERROR, SHARE_ERROR_START, "%s: %s", path, g_strerror(errno));
        if (tree >= 0)
            close(tree);
        tree = -1;
    } else {
        map_owner(tree, &owner, uid, gid, path);
    }
    if (dir >= 0)
        close(dir);
    return tree;
}

gboolean live_share_bind(const char *path, const char *target, gboolean readonly, guint uid,
                         guint gid, GError **error)
{
    int tree;
    gboolean done;

    if (!leave_namespace(error))
        return FALSE;
    tree = live_share_mount(path, readonly, uid, gid, error);
    if (tree < 0)
        return FALSE;
    done =
        move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) == 0 || fail(target, error);
    close(tree);
    return done;
}
